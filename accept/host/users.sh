# shellcheck shell=sh
# users.sh: print the build group and its members, as the name service reports them.
group=$(getent group nixbld)
say group "$group"
printf '%s\n' "${group##*:}" | tr , '\n' | while read -r name; do
    [ -z "$name" ] || say user "$name $(getent passwd "$name")"
done
