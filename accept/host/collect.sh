# shellcheck shell=sh
# collect.sh: collect garbage, and print whether a path with a root and one without a root remain.
mkdir -m 0700 "$STATE" || exit 1
trap '' PIPE
trap 'rm -rf "$STATE"' EXIT
trap 'exit 129' HUP INT TERM
echo $$ >"$STATE/pid"
echo "kept $TOKEN" >"$STATE/accept-kept"
echo "garbage $TOKEN" >"$STATE/accept-garbage"
kept=$(nix-store --add "$STATE/accept-kept") || exit 0
garbage=$(nix-store --add "$STATE/accept-garbage") || exit 0
step rooted nix-store --realise "$kept" --add-root "$STATE/root" || exit 0
step collected nix-collect-garbage
step kept nix path-info "$kept"
step garbage nix path-info "$garbage"
step runs nix --version
rm -f "$STATE/root"
nix-store --delete "$kept" >/dev/null 2>&1
