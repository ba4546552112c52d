# What %posttrans has compiled. In an upgrade, the new package compiles its own modules after this.
rm -rf /usr/lib/nix-aurora/nix_aurora_host/__pycache__ \
    /usr/lib/nix-aurora/nix_aurora_host/*/__pycache__
