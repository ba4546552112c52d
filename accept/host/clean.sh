# shellcheck shell=sh
# clean.sh: end what an interrupted run left running here, and print what it left behind. Scripts
# that make something clean up after themselves; this waits until they have done so.
if [ -e "$STATE/pid" ]; then
    kill -TERM "$(cat "$STATE/pid")" 2>/dev/null
    waited=0
    while [ -e "$STATE" ] && [ "$waited" -lt 60 ]; do
        sleep 1
        waited=$((waited + 1))
    done
fi
[ ! -e "$STATE" ] || say left "$STATE"
