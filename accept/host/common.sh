# shellcheck shell=sh
# common.sh: functions and variables of all scripts for the host. sh reads it before each of them.
LC_ALL=C.UTF-8
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin

# Print a record: a name, and a value on one line.
say() { # NAME VALUE
    printf '%s %s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ')"
}

# Run a step, and print its exit code and its output.
step() { # NAME COMMAND...
    step_name=$1
    shift
    step_said=$("$@" 2>&1)
    step_code=$?
    say "$step_name" "$step_code $step_said"
    return "$step_code"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# The files of this run on the host; only this user can open them.
STATE=${XDG_RUNTIME_DIR:-/tmp}/nix-aurora-accept-${TOKEN-}
export STATE
