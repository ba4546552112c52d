"""The ids of the build users in payload/usr/lib/sysusers.d/nix-aurora.conf.in."""

NAMES = tuple(f"nixbld{number}" for number in range(1, 33))
GROUP_ID = 61120
IDS = range(GROUP_ID + 1, GROUP_ID + 33)
# Packages from before 2027 use these ids, and hosts keep them.
FORMER_GROUP_ID = 30000
FORMER_IDS = range(FORMER_GROUP_ID + 1, FORMER_GROUP_ID + 33)
# This changes a tree with the package into one that has the ids of an earlier package.
FORMER = f"""
words=()
for number in {{0..32}}; do
    words+=(-e "s/\\b$(({GROUP_ID} + number))\\b/$(({FORMER_GROUP_ID} + number))/g")
done
sed -i "${{words[@]}}" /usr/lib/sysusers.d/nix-aurora.conf /etc/passwd /etc/group
"""
