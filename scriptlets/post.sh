# Create the users now if that is possible; otherwise the image build or the next boot creates them.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers nix-aurora.conf \
        || echo "nix-aurora: cannot create the build users now; nix-setup.service creates them" >&2
fi
# Only a writable root directory can get /nix here. On other hosts, and if this fails, the boot
# chooses the layout.
[ -e /nix ] || [ ! -w / ] || mkdir -m 0755 /nix || :
/usr/libexec/nix-aurora/patch-wrapper
