# users.bash: check whether Nix finds its build users. layout uses this, and the import reads the
# result.

# Nix looks up the build users with its own C library, which reads only the files in /etc. If the
# last user exists, all of them do.
has_build_users() {
    local sysusers last member end=$'\n'
    sysusers=$(</usr/lib/sysusers.d/nix-aurora.conf)
    last=${sysusers##*"${end}m "}
    last=${last%% *}
    member=$'\nnixbld:[^\n]*[:,]'$last$'[,\n]'
    [[ $end$(</etc/passwd) == *"$end$last:"* && $end$(</etc/group)$end =~ $member ]]
}
