# ssh-settings.bash: copy ssh's settings, so that the user owns the copies. private-root uses this
# in the user namespace in which the user is root.
#
# ssh refuses an included file whose owner is neither root nor the user. In a user namespace, files
# of root appear to belong to nobody. So each copy is mounted over its file, and ssh, scp, sftp,
# git, rsync, nix copy and ssh from a Nix profile accept it. The copies are on a tmpfs over the
# directory with most of the files. Files that the user cannot read are skipped.

readonly ssh_settings=/etc/ssh/ssh_config ssh_directory=/etc/ssh/ssh_config.d

# Print the files that ssh's settings include, directly or through other files: ssh_config(5).
list_included_ssh_settings() {
    local line word file IFS number
    local -a words files=("$ssh_settings")
    local -A known=()
    local include='^[[:space:]]*[Ii][Nn][Cc][Ll][Uu][Dd][Ee][[:space:]]*[=[:space:]](.*)$'
    for ((number = 0; number < ${#files[@]}; number++)); do
        while IFS= read -r line || [ -n "$line" ]; do
            [[ $line =~ $include ]] || continue
            IFS=$' \t' read -ra words <<<"${BASH_REMATCH[1]//\"/}"
            IFS= # a pattern is expanded below, but not split
            for word in "${words[@]}"; do
                [[ $word == /* ]] || word=${ssh_settings%/*}/$word
                for file in $word; do
                    if [ -f "$file" ] && [ -r "$file" ] && [ -z "${known[$file]-}" ]; then
                        known[$file]=yes
                        files+=("$file")
                        echo "$file"
                    fi
                done
            done
        done <"${files[number]}"
    done
}

# Copy every included file onto the tmpfs. For copies that are not in their final place yet, print
# the mounts that are still needed, in the format of `print_bind COPY FILE`.
own_ssh_settings() {
    local file number copy content
    local -a files contents=()
    [ -r "$ssh_settings" ] && [ -d "$ssh_directory" ] || return 0
    umask 0022 # ssh also refuses a file that its group may write
    mapfile -t files < <(list_included_ssh_settings)
    [ "${#files[@]}" != 0 ] || return 0
    for file in "${files[@]}"; do
        # read gets the whole file without a new process. It fails at the end, which is no error.
        IFS= read -r -d '' content <"$file" || :
        contents+=("$content")
    done
    mount -t tmpfs -o mode=0755,size=1m nix-aurora "$ssh_directory" || return
    for number in "${!files[@]}"; do
        file=${files[number]} copy=$ssh_directory/.$number
        [ "${file%/*}" != "$ssh_directory" ] || copy=$file
        printf '%s\n' "${contents[number]}" >"$copy"
        [ "$copy" = "$file" ] || print_bind "$copy" "$file"
    done
}
