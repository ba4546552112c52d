# Without the package, nothing reads the settings that `nix-aurora gc enable` has written. If this
# fails, it says so, and the removal goes on: a scriptlet fails only if its last command does.
if [ "$1" = 0 ] && [ -e /etc/nix/nix.gc.conf ]; then
    /usr/bin/nix-aurora gc disable
fi
# In an upgrade, the new package compiles its own modules after this.
/usr/libexec/nix-aurora/compile-modules --remove
