# On a running system that does not boot an image, determinate-nixd takes over without a reboot,
# or a newer one does. Its socket cannot start while the daemon runs; whoever connects next starts
# that.
# The package is in place by now: what systemctl cannot do, it says, and the next boot does.
if [ -d /run/systemd/system ] && ! /usr/libexec/nix-aurora/image-host; then
    systemctl daemon-reload || :
    systemctl --quiet stop nix-daemon.service || :
    if systemctl is-enabled --quiet determinate-nixd.socket; then
        systemctl start determinate-nixd.socket \
            || echo "nix-aurora: systemctl status determinate-nixd.socket tells more" >&2
    fi
fi
