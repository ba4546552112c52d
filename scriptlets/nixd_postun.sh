# Whoever connects next starts the ordinary daemon, with its settings. Elsewhere the daemon itself
# sees to those, and so it does should this fail. The package is gone by now: what systemctl cannot
# do, it says, and the next boot does.
if [ "$1" = 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload || :
        systemctl --quiet stop nix-daemon.service || :
    fi
    /usr/libexec/nix-aurora/nix-conf ours || :
fi
