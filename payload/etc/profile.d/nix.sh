# shellcheck shell=sh
# Nix for login shells: profiles on PATH, certificates, desktop files. POSIX sh; sourced, so it
# never exits. Sourcing it twice changes nothing, and what the user has set already wins.

if [ -n "${HOME-}" ] && [ -e /nix/var/nix/profiles ]; then
    # The default profile first, so that the user's own ends up in front of it.
    for __nix_profile in /nix/var/nix/profiles/default "$HOME/.nix-profile"; do
        # A link that does not resolve stays out; so does what is there already.
        [ -d "$__nix_profile/" ] || continue
        case ":$PATH:" in
            *":$__nix_profile/bin:"*) ;;
            *) PATH="$__nix_profile/bin:$PATH" ;;
        esac
        case ":${XDG_DATA_DIRS:=/usr/local/share:/usr/share}:" in
            *":$__nix_profile/share:"*) ;;
            *) XDG_DATA_DIRS="$__nix_profile/share:$XDG_DATA_DIRS" ;;
        esac
        export PATH XDG_DATA_DIRS
    done

    : "${NIX_PROFILES:=/nix/var/nix/profiles/default $HOME/.nix-profile}"
    export NIX_PROFILES

    # The host's bundle has the company's own authorities, the packaged one does not.
    for __nix_bundle in /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt \
        /nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt; do
        [ -z "${NIX_SSL_CERT_FILE-}" ] || break
        [ ! -r "$__nix_bundle" ] || export NIX_SSL_CERT_FILE="$__nix_bundle"
    done
    unset __nix_profile __nix_bundle
fi
