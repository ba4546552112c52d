/usr/libexec/nix-aurora/compile-modules
# On a running system that does not boot an image, start the new Nix without a reboot. Units that
# the administrator has disabled or masked stay as they are. The package is already installed, so a
# failure of systemctl is only reported; the next boot retries.
if [ -d /run/systemd/system ] && ! /usr/libexec/nix-aurora/image-host; then
    systemctl daemon-reload || :
    # Packages from before 2027 do not have the file that the new package's programs read.
    [ -e /run/nix-aurora/env ] || systemctl try-restart nix-layout.service || :
    while read -r unit start; do
        case $start in
            preset | wanted) systemctl is-enabled --quiet "$unit" || continue ;;
            *) continue ;;
        esac
        # A restart makes the import look for the new package's files; the other units only start.
        [ "$unit" = nix-setup.service ] && verb=restart || verb=start
        systemctl "$verb" "$unit" \
            || printf '%s\n' "nix-aurora: cannot $verb $unit" "hint: systemctl status $unit" >&2
    done </usr/lib/nix-aurora/units
    systemctl try-restart nix-daemon.service || :
fi
