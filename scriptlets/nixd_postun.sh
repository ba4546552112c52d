# The next connection starts the ordinary daemon, with its settings. On other hosts the daemon
# itself restores those settings, and also here if this script fails. The package is already
# removed, so a failure of systemctl is only reported; the next boot retries.
if [ "$1" = 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || :
        systemctl --quiet stop nix-daemon.service || :
    fi
    /usr/libexec/nix-aurora/nix-conf ours || :
fi
