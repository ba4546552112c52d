# Users at once where that can be done; else the image build or the next boot creates them.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers nix-aurora.conf || echo "nix-aurora: nix-setup.service creates the users" >&2
fi
# Only a root directory that can be written can have /nix; elsewhere, and should this fail, the
# boot chooses the layout.
[ -e /nix ] || [ ! -w / ] || mkdir -m 0755 /nix || :
/usr/libexec/nix-aurora/patch-wrapper
