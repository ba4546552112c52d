# In an upgrade, the new package compiles its own modules after this.
/usr/libexec/nix-aurora/compile-modules --remove
# `nix-aurora gc enable` has written this file, and nothing reads it without the package.
if [ "$1" = 0 ]; then
    rm -f /etc/nix/nix.gc.conf || echo "nix-aurora: cannot remove /etc/nix/nix.gc.conf" >&2
fi
