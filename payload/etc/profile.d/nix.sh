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

# The layout of this boot.
__nix_env=/run/nix-aurora/env
if [ ! -r "$__nix_env" ]; then
    __nix_env=/usr/lib/nix-aurora/env
fi
# shellcheck source=/dev/null # written by layout
. "$__nix_env"

# Where the store has a prefix of its own, programs that speak to the daemon have to know it.
if [ "$NIX_AURORA_STORE" != /nix/store ]; then
    export NIX_STORE_DIR="$NIX_AURORA_STORE"
    export NIX_DAEMON_SOCKET_PATH="$NIX_AURORA_SOCKET"
fi

# The link that nix profile makes: in one of two places, by Nix's use-xdg-base-directories. A layout
# may have only the first.
__nix_xdg='' __nix_home='' __nix_link=''
if [ -n "${HOME-}" ]; then
    __nix_xdg=${XDG_STATE_HOME:-$HOME/.local/state}/$NIX_AURORA_USER_STATE/profile
    __nix_link=$__nix_xdg
    if [ -n "$NIX_AURORA_USER_LINK" ]; then
        __nix_home=$HOME/$NIX_AURORA_USER_LINK
        if [ ! -d "$__nix_xdg/" ]; then
            __nix_link=$__nix_home
        fi
    fi
fi

# The default profile comes first here, so that the user's gets in front of it.
for __nix_profile in "$NIX_AURORA_PROFILE" "$__nix_link"; do
    if [ -z "$__nix_profile" ] || [ ! -d "$__nix_profile/" ]; then
        continue
    fi
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

for __nix_profile in "$__nix_link" "$NIX_AURORA_PROFILE"; do
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

if [ -z "${NIX_SSL_CERT_FILE-}" ] && [ -r "$NIX_AURORA_CA_BUNDLE" ]; then
    export NIX_SSL_CERT_FILE="$NIX_AURORA_CA_BUNDLE"
fi

# A first package makes the profile, and its programs should start at once. So an interactive bash
# or zsh that begins without one looks for it before each prompt.
if [ "${-#*i}" != "$-" ] && [ -n "$__nix_link" ] && [ -d "$NIX_AURORA_STATE/" ]; then
    case :${PATH-}: in
        *:"$__nix_link/bin":*) ;;
        *)
            __nix_awaited_xdg=$__nix_xdg/bin
            __nix_awaited_home=${__nix_home:+$__nix_home/bin}
            # shellcheck source=/dev/null # it is not POSIX sh
            . /usr/lib/nix-aurora/first-package.bash
            ;;
    esac
fi

unset __nix_env __nix_xdg __nix_home __nix_link __nix_profile __nix_data
unset NIX_AURORA_LAYOUT NIX_AURORA_STORE NIX_AURORA_HOME NIX_AURORA_MOUNT NIX_AURORA_STATE
unset NIX_AURORA_PROFILE NIX_AURORA_SOCKET NIX_AURORA_USER_STATE NIX_AURORA_USER_LINK
unset NIX_AURORA_CA_BUNDLE
