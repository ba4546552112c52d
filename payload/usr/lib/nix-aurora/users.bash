# users.bash: whether Nix finds its build users: for layout, which the import goes by.

# Nix asks its own C library for the build users, and that one knows the files in /etc alone.
has_build_users() {
    local end=$'\n' member=$'\nnixbld:[^\n]*[:,]nixbld32[,\n]'
    [[ $end$(</etc/passwd) == *"${end}nixbld32:"* && $end$(</etc/group)$end =~ $member ]]
}
