# In an upgrade, the new package compiles its own modules after this.
/usr/libexec/nix-aurora/compile-modules --remove
