# users.bash: whether Nix finds its build users: for layout, which the import goes by.

# Nix asks its own C library for the build users, and that one knows the files in /etc alone. The
# last user stands for all of them.
has_build_users() {
    local sysusers last member end=$'\n'
    sysusers=$(</usr/lib/sysusers.d/nix-aurora.conf)
    last=${sysusers##*"${end}m "}
    last=${last%% *}
    member=$'\nnixbld:[^\n]*[:,]'$last$'[,\n]'
    [[ $end$(</etc/passwd) == *"$end$last:"* && $end$(</etc/group)$end =~ $member ]]
}
