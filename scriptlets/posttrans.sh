# On a running system that does not boot an image, the new Nix works without a reboot. Units that
# the administrator has disabled or masked stay as they are. The package is in place by now: what
# systemctl cannot do, it says, and the next boot does.
if [ -d /run/systemd/system ] && ! /usr/libexec/nix-aurora/image-host; then
    systemctl daemon-reload || :
    for unit in nix-layout.service nix.mount run-nix-store.mount nix-setup.service \
        nix-daemon.socket nix-database-backup.timer; do
        systemctl is-enabled --quiet "$unit" || continue
        # Restarted, the import looks for what the new package brings; the others only start.
        [ "$unit" = nix-setup.service ] && verb=restart || verb=start
        systemctl "$verb" "$unit" || echo "nix-aurora: systemctl status $unit tells more" >&2
    done
    systemctl try-restart nix-daemon.service || :
fi
