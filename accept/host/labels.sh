# shellcheck shell=sh
# labels.sh: print paths with their SELinux contexts and those of the policy.
look() { # PATH
    [ ! -e "$1" ] || say label "$(stat -c %C "$1") $(matchpathcon -n "$1") $1"
}
for path in / /nix /nix/var/nix/daemon-socket/socket /var/lib/nix /var/lib/nix/store \
    /var/lib/nix/var/nix/daemon-socket/socket /var/lib/nix/daemon-socket/socket; do
    look "$path"
done
for path in /var/lib/nix/store/*/bin; do
    look "$path"
done | head -n 20
