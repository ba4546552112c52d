# settings.bash: read /etc/nix-aurora.conf. This is the only parser of that file. layout uses it
# directly; nix-root and the command nix-aurora use it through `layout --settings`.
#
# The file is data and is never run. A line is empty, a comment, or KEY=VALUE; nix-aurora.conf(5)
# describes the exact format. A line that cannot be understood is ignored like a comment.

# Print the content of the file as lines whose fields are separated by TABs:
#
#   set NUMBER KEY VALUE   a valid line
#   fault NUMBER REASON    an invalid line; NUMBER 0 means the whole file
#   unread                 this user may not read the file
#   days DAYS              always: how many days generations are kept
#   layout LAYOUT          always, and last: the requested layout
read_settings() { # FILE
    local line assigned number=0 layout=auto days=30
    if [ -f "$1" ] && [ -r "$1" ]; then
        while IFS= read -r line || [ -n "$line" ]; do
            number=$((number + 1))
            line=${line#$'\xef\xbb\xbf'} # some editors begin a file with a byte order mark
            line=${line%$'\r'}           # or end lines as Windows does
            line=${line#"${line%%[![:blank:]]*}"}
            line=${line%"${line##*[![:blank:]]}"}
            if [ -z "$line" ] || [ "${line:0:1}" = '#' ]; then
                continue
            fi
            if assigned=$(parse_assignment "$line"); then
                case $assigned in # a later line wins over an earlier one
                    STORE_LAYOUT*) layout=${assigned#*$'\t'} ;;
                    *) days=${assigned#*$'\t'} ;;
                esac
                printf 'set\t%s\t%s\n' "$number" "$assigned"
            else
                printf 'fault\t%s\t%s\n' "$number" "$assigned"
            fi
        done <"$1"
    elif [ -f "$1" ]; then
        echo unread
    elif [ -e "$1" ] || [ -L "$1" ]; then
        printf 'fault\t0\t%s\n' 'expected a regular file'
    fi
    printf 'days\t%s\nlayout\t%s\n' "$days" "$layout"
}

# Print the key and the value, separated by a TAB. If the line is invalid, print the reason, and
# fail.
parse_assignment() { # LINE
    local assignment='^(export[[:blank:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:blank:]]*=[[:blank:]]*(.*)$'
    local quoted="^(\"([^\"]*)\"|'([^']*)')([[:blank:]]+#.*)?\$"
    local plain="^([^[:blank:]\"']*)([[:blank:]]+#.*)?\$"
    local key value
    if [[ ! $1 =~ $assignment ]]; then
        echo "expected KEY=VALUE, got $1"
        return 1
    fi
    key=${BASH_REMATCH[2]}
    value=${BASH_REMATCH[3]}
    if [[ $value =~ $quoted ]]; then
        value=${BASH_REMATCH[2]}${BASH_REMATCH[3]}
    elif [[ $value =~ $plain ]]; then
        value=${BASH_REMATCH[1]}
    else
        echo "$key: expected one word, or a text in quotes, got $value"
        return 1
    fi
    check_value "$key" "$value" && printf '%s\t%s\n' "$key" "$value"
}

# Fail if the value is invalid for this key, and print the reason.
check_value() { # KEY VALUE
    case $1 in
        STORE_LAYOUT)
            if ! is_layout "$2"; then
                echo "$1: expected auto or one of $(list_layouts), got '$2'"
                return 1
            fi
            ;;
        GC_KEEP_DAYS)
            if [[ ! $2 =~ ^[1-9][0-9]{0,3}$ ]]; then
                echo "$1: expected a number of days from 1 to 9999, got '$2'"
                return 1
            fi
            ;;
        *)
            echo "expected STORE_LAYOUT or GC_KEEP_DAYS, got $1"
            return 1
            ;;
    esac
}

is_layout() { # NAME
    [ "$1" = auto ] || [[ $1 =~ ^[a-z]+$ && -f ${BASH_SOURCE[0]%/*}/layouts/$1 ]]
}

# Print the names of the layouts in the package.
list_layouts() {
    local -a files=("${BASH_SOURCE[0]%/*}"/layouts/*)
    echo "${files[@]##*/}"
}

# Print the faults for the journal, with control characters from the file escaped.
tell_faults() { # FILE SETTINGS
    local kind number reason
    while IFS=$'\t' read -r kind number reason; do
        if [ "$kind" = fault ]; then
            echo "nix-aurora: cannot understand $1: line $number: ${reason@Q}"
        fi
    done <<<"$2"
}
