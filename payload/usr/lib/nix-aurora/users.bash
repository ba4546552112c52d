# users.bash: the build users, where Nix looks for them, and the frame of /var/lib/nix: for the
# import, and for the daemon, which waits for them.
# shellcheck disable=SC2154 # what is read here is set there

# Nix asks its own C library for the build users, and that one knows the files in /etc alone.
has_build_users() {
    [[ $(</etc/group) == *$'\n'nixbld:* && $(</etc/passwd) == *$'\n'nixbld32:* ]]
}

# A host that had booted before the package came has run neither of the two for it. They take
# longer than all else that a later boot does: one look tells whether they have to.
prepare_host() {
    { has_build_users || [ "$(id --group --name nixbld32 2>/dev/null)" = nixbld ]; } \
        && [ -d "$store" ] && return
    systemd-sysusers nix-aurora.conf || say "the build users cannot be made: nix-aurora doctor"
    systemd-tmpfiles --create nix-aurora.conf || say "$base cannot be made: nix-aurora doctor"
}

# rpm-ostree puts a layered package's users into /usr/lib, for the host's nss-altfiles. Those that
# are in /etc already, all or some, stay as they are.
copy_users() {
    local known user users absent=
    ! has_build_users || return 0
    [[ $(</etc/group) == *$'\n'nixbld:* ]] || getent group nixbld >>/etc/group \
        || return 0 # there are none: doctor tells
    users=$(getent passwd nixbld{1..32}) || say "some build users are missing: nix-aurora doctor"
    known=$'\n'$(</etc/passwd)
    while read -r user; do
        [[ $known == *$'\n'${user%%:*}:* ]] || absent+=$user$'\n'
    done <<<"$users"
    [ -n "$absent" ] || return 0
    printf %s "$absent" >>/etc/passwd
    say "the build users are in /etc now, where Nix looks for them"
}
