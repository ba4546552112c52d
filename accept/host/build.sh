# shellcheck shell=sh
# build.sh: build a new derivation, and print what its builder saw. The sandbox of a release has a
# shell that offers only its built-in commands.
# shellcheck disable=SC2016 # the builder's names
script='{ for top in /*; do echo top $top; done
while read -r line; do echo map $line; done </proc/self/uid_map; } >$out'
expression="derivation { name = \"accept-$TOKEN\"; system = builtins.currentSystem;
    builder = \"/bin/sh\"; args = [ \"-c\" ''$script'' ]; }"
errors=$(mktemp)
drv=$(nix-instantiate --expr "$expression" 2>"$errors") \
    && path=$(nix build --no-link --print-out-paths "$drv^out" 2>"$errors")
code=$?
say built "$code $(cat "$errors")"
rm -f "$errors"
[ "$code" != 0 ] || nix store cat "$path"
# The result is garbage now. Without this command, the next collection would delete it.
# shellcheck disable=SC2086 # store paths have no spaces
nix-store --delete ${path-} ${drv-} >/dev/null 2>&1
