# shellcheck shell=sh
# profile.sh: add a program to this user's profile, start it in every way that a user does, and
# remove it again. INSTALLABLE names the program; if it is empty, the script creates one. The script
# always restores the profile at the end, even if nobody reads its output.
link=$HOME/.nix-profile
home=${XDG_STATE_HOME:-$HOME/.local/state}
[ ! -L "$home/nix/profile" ] || link=$home/nix/profile
[ "$LAYOUT" != relocated ] || link=$home/nix-relocated/profile
had_link=$(readlink "$link")
had=
[ -z "$had_link" ] || had=$(readlink "$had_link")
added=
made=
unit=nix-aurora-accept-$TOKEN.service
units=${XDG_RUNTIME_DIR:-/tmp}/systemd/user

# Print the number of a generation: 12 for profile-12-link.
number() { # LINK
    generation=${1%-link}
    generation=${generation##*-}
    echo "${generation:-0}"
}

restore_profile() {
    # The first profile appears in one of two places, which use-xdg-base-directories of Nix selects.
    [ -L "$link" ] || [ ! -L "$home/nix/profile" ] || link=$home/nix/profile
    now_link=$(readlink "$link")
    now=
    [ -z "$now_link" ] || now=$(readlink "$now_link")
    [ "$now" = "$had" ] || remove_generations || return 1
    if [ -z "$had_link" ]; then
        [ ! -L "$link" ] || rm "$link"
        rmdir "${now_link%/*}" "$home/nix" "$home" 2>/dev/null || : # only empty directories
    fi
}

remove_generations() {
    first=$(number "$had")
    last=$(number "$now")
    # If there are more generations than ours, somebody else changed the profile meanwhile.
    [ "$((last - first))" -le 2 ] || return 1
    if [ -n "$had" ]; then
        nix profile rollback --to "$first" >/dev/null 2>&1 || return 1
    else
        rm -f "$now_link"
    fi
    while [ "$last" -gt "$first" ]; do
        made="$(readlink "$now_link-$last-link") $made"
        rm -f "$now_link-$last-link"
        last=$((last - 1))
    done
}

finish() {
    trap '' HUP INT TERM
    if [ -n "$added" ] && [ -z "$INSTALLABLE" ]; then
        step removed nix profile remove "$path"
    fi
    restore_profile || say left "generations of the profile: see nix profile history"
    systemctl --user stop "$unit" 2>/dev/null
    systemctl --user reset-failed "$unit" 2>/dev/null
    rm -f "$units/$unit"
    systemctl --user daemon-reload 2>/dev/null
    # nix-store refuses to delete a path that one of the user's own generations refers to.
    [ -n "$INSTALLABLE" ] || for one in $made; do
        nix-store --delete "$one" >/dev/null 2>&1
    done
    rm -rf "$STATE"
}

make_program() {
    source=$STATE/$PROGRAM
    mkdir -p "$source/bin" "$source/share/applications"
    printf '#!/bin/sh\necho accepted %s\n' "$TOKEN" >"$source/bin/$PROGRAM"
    chmod 0755 "$source/bin/$PROGRAM"
    printf '[Desktop Entry]\nType=Application\nName=%s\nExec=%s\n' "$PROGRAM" "$PROGRAM" \
        >"$source/share/applications/$PROGRAM.desktop"
    nix-store --add "$source"
}

start_in() { # SHELL [VARIABLE...]
    shell=$1
    shift
    start=$PROGRAM
    [ -z "$INSTALLABLE" ] || start="$PROGRAM version || $PROGRAM --version"
    env -i HOME="$HOME" USER="$(id -un)" LOGNAME="$(id -un)" SHELL="$shell" TERM=dumb \
        PATH=/usr/local/bin:/usr/bin:/bin "$@" "$shell" -l -c "$start"
}

start_everywhere() {
    own=$(getent passwd "$(id -u)")
    own=${own##*:}
    step "shell:${own##*/}" start_in "$own"
    for shell in bash zsh fish; do
        [ "$shell" != "${own##*/}" ] || continue
        # A shell that this user does not use must not leave its files in the home directory.
        ! has "$shell" || step "shell:$shell" start_in "$(command -v "$shell")" \
            XDG_CONFIG_HOME="$STATE" XDG_DATA_HOME="$STATE" XDG_CACHE_HOME="$STATE"
    done
    step inside nix-aurora shell "$PROGRAM"
}

in_user_unit() {
    mkdir -p "$units"
    printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c %s\nStandardOutput=file:%s\n' \
        "$PROGRAM" "$STATE/said" >"$units/$unit"
    printf 'StandardError=inherit\n' >>"$units/$unit"
    # The user's systemd looks for profiles when it starts and when it reloads, so a reload has the
    # effect of a new login.
    systemctl --user daemon-reload || return 1
    systemctl --user start "$unit"
    started=$?
    [ ! -e "$STATE/said" ] || cat "$STATE/said"
    return "$started"
}

find_entry() {
    dirs=$(systemctl --user show-environment | sed -n 's/^XDG_DATA_DIRS=//p')
    IFS=:
    for dir in $dirs; do
        if [ -e "$dir/applications/$PROGRAM.desktop" ]; then
            echo "$dir/applications"
            return 0
        fi
    done
    echo "not in XDG_DATA_DIRS=$dirs"
    return 1
}

mkdir -m 0700 "$STATE" || exit 1
trap '' PIPE
trap finish EXIT
trap 'exit 129' HUP INT TERM
echo $$ >"$STATE/pid"
# nix profile leaves temporary directories behind, so they are created in STATE.
TMPDIR=$STATE
export TMPDIR
if [ -z "$INSTALLABLE" ]; then
    path=$(make_program 2>"$STATE/errors") || {
        say added "1 $(cat "$STATE/errors")"
        exit 0
    }
    made=$path
fi
step added nix profile add "${INSTALLABLE:-$path}" || exit 0
added=yes
start_everywhere
[ -z "$INSTALLABLE" ] || exit 0
# A running desktop has the variables of its login, which may be older than the profile.
if [ -z "$had" ] && systemctl --user show-environment 2>/dev/null | grep -q DISPLAY=; then
    say desktop older
fi
step unit in_user_unit
step entry find_entry
