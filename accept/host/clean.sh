# shellcheck shell=sh
# clean.sh: end the script of an interrupted run, and print the files that remain. Scripts that
# create files remove them when they end; this script waits until they have done so.
if [ -e "$STATE/pid" ]; then
    kill -TERM "$(cat "$STATE/pid")" 2>/dev/null
    waited=0
    while [ -e "$STATE" ] && [ "$waited" -lt 60 ]; do
        sleep 1
        waited=$((waited + 1))
    done
fi
[ ! -e "$STATE" ] || say left "$STATE"
