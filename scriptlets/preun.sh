# The new package of an upgrade compiles its own modules after this.
/usr/libexec/nix-aurora/compile-modules --remove || :
