# ssh-settings.bash: copies of ssh's settings that are the user's own: for private-root, in the user
# namespace in which the user is root.
#
# ssh refuses an included file that belongs to neither root nor the user, and in a user namespace
# root's files are nobody's. The copies are mounted in place of the files, and so serve ssh, scp,
# sftp, git, rsync, nix copy, and a Nix profile's ssh. They are on a tmpfs over the directory that
# has most of the files. A file that the user cannot read is left out.

readonly ssh_settings=/etc/ssh/ssh_config ssh_directory=/etc/ssh/ssh_config.d

# Print the files that ssh's settings include, and those that they include: ssh_config(5).
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

# Make a copy of every included file. The copies that are not in place yet are on the tmpfs: print
# what is still to mount, as `print_bind COPY FILE` prints it.
own_ssh_settings() {
    local file number copy content
    local -a files contents=()
    [ -r "$ssh_settings" ] && [ -d "$ssh_directory" ] || return 0
    umask 0022 # ssh also refuses a file that its group may write
    mapfile -t files < <(list_included_ssh_settings)
    [ "${#files[@]}" != 0 ] || return 0
    for file in "${files[@]}"; do
        # read takes the whole file without a process, and fails at its end: that is no error.
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
