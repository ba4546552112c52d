# shellcheck shell=sh
# Nix for bash, zsh and every other shell that reads profile.d. POSIX sh; sourced, also by the
# user-environment-generator, so it never exits, and stands set -e and set -u. Sourcing it twice
# changes nothing. fish has the same in vendor_conf.d/nix-aurora.fish: change both.
#
# PATH: the user's profile, the default profile, what was there. So Nix's programs come before the
# system's, and those before Homebrew's, which Universal Blue's brew.sh appends.
# XDG_DATA_DIRS: what was there first, because the desktop must find its own schemas, icons and
# MIME types before those of another build of the same library.
# What a user has set stays, and no directory is added that is not there: a link into a store that
# is not mounted, or a profile without a package, stays out.

# The link that nix profile makes: in one of two places, by Nix's use-xdg-base-directories.
__nix_default=/nix/var/nix/profiles/default __nix_link=
if [ -n "${HOME-}" ]; then
    __nix_link=$HOME/.nix-profile
    if [ -d "${XDG_STATE_HOME:-$HOME/.local/state}/nix/profile/" ]; then
        __nix_link=${XDG_STATE_HOME:-$HOME/.local/state}/nix/profile
    fi
fi
# The relocated layout has profiles of its own, and programs that speak to the daemon have to know
# where it is, and of what store.
if [ -e /run/nix-aurora/relocated ]; then
    export NIX_STORE_DIR=/run/nix/store
    export NIX_DAEMON_SOCKET_PATH=/var/lib/nix/daemon-socket/socket
    __nix_default=/var/lib/nix/relocated/var/nix/profiles/default
    __nix_link=${__nix_link:+${XDG_STATE_HOME:-$HOME/.local/state}/nix-relocated/profile}
fi

for __nix_profile in "$__nix_default" "$__nix_link"; do
    [ -n "$__nix_profile" ] && [ -d "$__nix_profile/" ] || continue
    # The default profile comes first here, so that the user's gets in front of it.
    case ":${PATH-}:" in
        *":$__nix_profile/bin:"*) ;;
        *)
            if [ -d "$__nix_profile/bin/" ]; then
                export PATH="$__nix_profile/bin${PATH:+:$PATH}"
            fi
            ;;
    esac
    # Nix's wrappers split this at spaces: there is no way to name a profile that has one.
    case " ${NIX_PROFILES-} " in
        *" $__nix_profile "*) ;;
        *)
            case $__nix_profile in
                *' '*) ;;
                *) export NIX_PROFILES="${NIX_PROFILES:+$NIX_PROFILES }$__nix_profile" ;;
            esac
            ;;
    esac
done

for __nix_profile in "$__nix_link" "$__nix_default"; do
    case ":${XDG_DATA_DIRS-}:" in
        *":$__nix_profile/share:"*) ;;
        *)
            if [ -n "$__nix_profile" ] && [ -d "$__nix_profile/share/" ]; then
                __nix_data=${XDG_DATA_DIRS:-/usr/local/share:/usr/share}
                export XDG_DATA_DIRS="$__nix_data:$__nix_profile/share"
            fi
            ;;
    esac
done

# The host's bundle has the company's own authorities, the packaged one does not.
for __nix_bundle in /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem \
    /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt \
    "$__nix_default/etc/ssl/certs/ca-bundle.crt"; do
    [ -z "${NIX_SSL_CERT_FILE-}" ] || break
    if [ -r "$__nix_bundle" ]; then
        export NIX_SSL_CERT_FILE="$__nix_bundle"
    fi
done

# A first package makes the profile, and its programs should start at once. So an interactive bash
# or zsh that begins without one looks for it before each prompt, until it is there.
case :${PATH-}: in
    *:"$__nix_link/bin":*) ;;
    *)
        if [ "${-#*i}" != "$-" ] && [ -n "$__nix_link" ] \
            && [ -d "${__nix_default%/profiles/*}/" ]; then
            __nix_seek() {
                for __nix_link in "${HOME-}/.nix-profile" \
                    "${XDG_STATE_HOME:-${HOME-}/.local/state}/nix/profile" \
                    "${XDG_STATE_HOME:-${HOME-}/.local/state}/nix-relocated/profile"; do
                    if [ -d "$__nix_link/bin/" ]; then
                        eval '__nix_seek() { :; }'
                        # shellcheck source=/dev/null # this file
                        . /etc/profile.d/nix.sh
                        break
                    fi
                done
                unset __nix_link
            }
            # No POSIX sh has arrays. Users assign to the first element of bash's.
            case ${BASH_VERSION:+bash}${ZSH_VERSION:+zsh} in
                bash)
                    eval 'case " ${PROMPT_COMMAND[*]-} " in
                        *" __nix_seek "*) ;;
                        *) PROMPT_COMMAND[0]=${PROMPT_COMMAND[0]-} PROMPT_COMMAND+=(__nix_seek) ;;
                    esac'
                    ;;
                zsh)
                    eval 'case " ${precmd_functions[*]-} " in
                        *" __nix_seek "*) ;;
                        *) precmd_functions+=(__nix_seek) ;;
                    esac'
                    ;;
                *) unset -f __nix_seek ;;
            esac
        fi
        ;;
esac
unset __nix_default __nix_link __nix_profile __nix_data __nix_bundle
