# On a running system that does not boot an image, start determinate-nixd, or its newer version,
# without a reboot. Its socket cannot start while the daemon runs; the next connection then starts
# the daemon. The package is already installed, so a failure of systemctl is only reported; the next
# boot retries.
if [ -d /run/systemd/system ] && ! /usr/libexec/nix-aurora/image-host; then
    systemctl daemon-reload || :
    systemctl --quiet stop nix-daemon.service || :
    if systemctl is-enabled --quiet determinate-nixd.socket; then
        systemctl start determinate-nixd.socket \
            || printf '%s\n' "nix-aurora: cannot start determinate-nixd.socket" \
                "hint: systemctl status determinate-nixd.socket" >&2
    fi
fi
