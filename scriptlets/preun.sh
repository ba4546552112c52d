# What %posttrans has compiled. In an upgrade, the new package compiles its own modules after this.
rm -rf /usr/lib/nix-aurora/nix_aurora_host/__pycache__ \
    /usr/lib/nix-aurora/nix_aurora_host/*/__pycache__
# What `nix-aurora gc enable` has written goes with the package.
if [ "$1" = 0 ]; then
    rm -f /etc/nix/nix.gc.conf
fi
