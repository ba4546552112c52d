# users.bash: the build users, where Nix looks for them, and the frame of /var/lib/nix: for the
# import, and for the daemon, which waits for them.
# shellcheck disable=SC2154 # what is read here is set there

# Nix asks its own C library for the build users, and that one knows the files in /etc alone.
has_build_users() {
    local end=$'\n' member=$'\nnixbld:[^\n]*[:,]nixbld32[,\n]'
    [[ $end$(</etc/passwd) == *"${end}nixbld32:"* && $end$(</etc/group)$end =~ $member ]]
}

# A host that had booted before the package came has run neither of the two for it. They take
# longer than all else that a later boot does: one look tells whether they have to.
prepare_host() {
    { has_build_users || [ "$(id --group --name nixbld32 2>/dev/null)" = nixbld ]; } \
        && [ -d "$store" ] && return
    systemd-sysusers nix-aurora.conf || say "the build users cannot be made: nix-aurora doctor"
    systemd-tmpfiles --create nix-aurora.conf || say "$base cannot be made: nix-aurora doctor"
}

# rpm-ostree puts a layered package's users into /usr/lib, for the host's nss-altfiles.
copy_users() {
    has_build_users || /usr/libexec/nix-aurora/copy-users \
        || say "cannot write the build users into /etc; hint: sudo nix-aurora doctor"
}
