# settings.bash: read /etc/nix-aurora.conf. This is its only parser: for nix-root and layout, and
# through `layout --settings` for the command nix-aurora.
#
# The file is data and is never run. A line is empty, a comment, or KEY=VALUE; nix-aurora.conf(5)
# describes what else is accepted. A line that cannot be understood is a fault: it counts as a
# comment, and whoever reads the file names it. A later line wins over an earlier one.
# shellcheck disable=SC2034 # what is set here is read there

# Set STORE_LAYOUT, and per line number: assigned (TAB-separated key and value), faults (why; 0 is
# the whole file). unread is set where this user may not read the file.
read_settings() { # FILE
    local line key value number=0
    local assignment='^(export[[:blank:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:blank:]]*=[[:blank:]]*(.*)$'
    local quoted="^(\"([^\"]*)\"|'([^']*)')([[:blank:]]+#.*)?\$"
    local plain="^([^[:blank:]\"']*)([[:blank:]]+#.*)?\$"
    STORE_LAYOUT=auto
    assigned=() faults=() unread=
    [ -e "$1" ] || [ -L "$1" ] || return 0
    if [ ! -f "$1" ]; then
        faults[0]='expected a regular file'
        return
    elif [ ! -r "$1" ]; then
        unread=yes
        return
    fi
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line#$'\xef\xbb\xbf'} # some editors begin a file with a byte order mark
        line=${line%$'\r'}           # or end lines as Windows does
        line=${line#"${line%%[![:blank:]]*}"}
        line=${line%"${line##*[![:blank:]]}"}
        [ -n "$line" ] && [ "${line:0:1}" != '#' ] || continue
        if [[ ! $line =~ $assignment ]]; then
            faults[number]="expected KEY=VALUE, got $line"
            continue
        fi
        key=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
        if [[ $value =~ $quoted ]]; then
            value=${BASH_REMATCH[2]}${BASH_REMATCH[3]}
        elif [[ $value =~ $plain ]]; then
            value=${BASH_REMATCH[1]}
        else
            faults[number]="$key: expected one word, or a text in quotes, got $value"
            continue
        fi
        if [ "$key" != STORE_LAYOUT ]; then
            faults[number]="expected STORE_LAYOUT, got $key"
            continue
        fi
        case $value in
            auto | mount | namespace | relocated)
                STORE_LAYOUT=$value
                assigned[number]=$key$'\t'$value
                ;;
            *) faults[number]="$key: expected auto, mount, namespace or relocated, got '$value'" ;;
        esac
    done <"$1"
}

# Print what read_settings has found, for settings.py: a line each, its fields separated by TABs.
show_settings() {
    local number
    printf 'layout\t%s\n' "$STORE_LAYOUT"
    [ -z "$unread" ] || echo unread
    for number in "${!assigned[@]}"; do printf 'set\t%s\t%s\n' "$number" "${assigned[number]}"; done
    for number in "${!faults[@]}"; do printf 'fault\t%s\t%s\n' "$number" "${faults[number]}"; done
}

# Name the faults in the journal, with control characters of the file escaped.
tell_faults() { # FILE
    local number
    for number in "${!faults[@]}"; do
        echo "nix-aurora: cannot understand $1: line $number: ${faults[number]@Q}"
    done
}
