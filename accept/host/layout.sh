# shellcheck shell=sh
# layout.sh: print whether the store is mounted outside and inside of the private root, and how / is
# mounted.
store=/var/lib/nix
at=/nix
if [ -e /run/nix-aurora/relocated ]; then
    store=/var/lib/nix/relocated/store
    at=/run/nix/store
fi
place() { # PATH
    stat -L -c %d:%i "$1" 2>/dev/null
}
same() {
    if [ -n "$1" ] && [ "$1" = "$2" ]; then
        echo yes
    else
        echo no
    fi
}
say everywhere "$(same "$(place $at)" "$(place $store)")"
inside=$(nix-aurora shell stat -L -c %d:%i $at 2>/dev/null)
say inside "$(same "$inside" "$(place $store)")"
say type "$(findmnt -n -o FSTYPE / | tail -n 1)"
say options "$(findmnt -n -o OPTIONS / | tail -n 1)"
