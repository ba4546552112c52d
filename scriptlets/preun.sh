# Without the package, nothing reads the settings that `nix-aurora gc enable` has written. A failure
# is reported, and does not keep the package installed.
if [ "$1" = 0 ] && [ -e /etc/nix/nix.gc.conf ]; then
    /usr/bin/nix-aurora gc disable || :
fi
# In an upgrade, the new package compiles its own modules after this.
/usr/libexec/nix-aurora/compile-modules --remove
