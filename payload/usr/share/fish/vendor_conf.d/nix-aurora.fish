# Nix for fish: what /etc/profile.d/nix.sh does for the other shells, and why it does it, is told
# there. Change both.

set -l nix /nix/var/nix
set -l link
if set -q HOME[1]; and test -n "$HOME"
    set -l state "$HOME/.local/state"
    if set -q XDG_STATE_HOME[1]; and test -n "$XDG_STATE_HOME"
        set state "$XDG_STATE_HOME"
    end
    set link "$HOME/.nix-profile"
    if test -d "$state/nix/profile/"
        set link "$state/nix/profile"
    end
    if test -e /run/nix-aurora/relocated
        set link "$state/nix-relocated/profile"
    end
end
if test -e /run/nix-aurora/relocated
    set -gx NIX_STORE_DIR /run/nix/store
    set -gx NIX_DAEMON_SOCKET_PATH /var/lib/nix/daemon-socket/socket
    set nix /var/lib/nix/relocated/var/nix
end

for profile in $nix/profiles/default $link
    test -d "$profile/"; or continue
    if test -d "$profile/bin/"; and not contains -- "$profile/bin" $PATH
        set -gx PATH "$profile/bin" $PATH
    end
    if not string match --quiet -- "* $profile *" " $NIX_PROFILES "
        and not string match --quiet -- "* *" "$profile"
        set -gx NIX_PROFILES (string trim -- "$NIX_PROFILES $profile")
    end
end

for profile in $link $nix/profiles/default
    set -l data "$XDG_DATA_DIRS"
    test -n "$data"; or set data /usr/local/share:/usr/share
    if test -d "$profile/share/"; and not contains -- "$profile/share" (string split : -- $data)
        set -gx XDG_DATA_DIRS "$data:$profile/share"
    end
end

for bundle in /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem \
    /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt \
    $nix/profiles/default/etc/ssl/certs/ca-bundle.crt
    test -z "$NIX_SSL_CERT_FILE"; or break
    if test -r "$bundle"
        set -gx NIX_SSL_CERT_FILE "$bundle"
    end
end

if status is-interactive
    and set -q link[1]; and test -d $nix/; and not contains -- "$link/bin" $PATH
    function __nix_seek --on-event fish_prompt
        set -l state "$HOME/.local/state"
        test -z "$XDG_STATE_HOME"; or set state "$XDG_STATE_HOME"
        if test -d "$HOME/.nix-profile/bin/"; or test -d "$state/nix/profile/bin/"
            or test -d "$state/nix-relocated/profile/bin/"
            functions --erase __nix_seek
            source /usr/share/fish/vendor_conf.d/nix-aurora.fish
        end
    end
end
