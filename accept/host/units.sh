# shellcheck shell=sh
# units.sh: print the units of the package, those that failed, and the state of the system.
say state "$(timeout 90 systemctl is-system-running --wait)"
rpm -ql nix-aurora 2>/dev/null | while read -r file; do
    case $file in
        /usr/lib/systemd/system/*/*) ;;
        /usr/lib/systemd/system/*.*) say ours "${file##*/}" ;;
    esac
done
systemctl list-units --all --failed --plain --no-legend | while read -r unit _; do
    say failed "$unit"
done
