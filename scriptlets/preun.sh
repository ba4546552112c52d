# In an upgrade, the new package compiles its own modules after this. Compiled modules that cannot
# be removed do no harm.
/usr/libexec/nix-aurora/compile-modules --remove || :
