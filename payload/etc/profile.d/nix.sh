# shellcheck shell=sh
# Set up Nix in bash, zsh and every other shell that reads profile.d. This is POSIX sh. Shells and
# the user-environment-generator source it, so it must not exit, and must work with set -e and set
# -u. Sourcing it twice changes nothing. vendor_conf.d/nix-aurora.fish does the same for fish:
# change both.
#
# PATH: the user's profile, then the default profile, then the previous value. So Nix's programs
# come before the system's. Homebrew's come last, since Universal Blue's brew.sh appends them.
# XDG_DATA_DIRS: the previous value, then the profiles, because the desktop must find its own
# schemas, icons and MIME types before those of another build of the same library.
# Values that the user has set are kept. Only existing directories are added: not a link into a
# store that is not mounted, and not a profile without packages.

# The layout of this boot.
__nix_env=/run/nix-aurora/env
if [ ! -r "$__nix_env" ]; then
    __nix_env=/usr/lib/nix-aurora/env
fi
# shellcheck source=/dev/null # written by layout
. "$__nix_env"

# In the relocated layout, programs that connect to the daemon need its store and socket.
if [ "$NIX_AURORA_STORE" != /nix/store ]; then
    export NIX_STORE_DIR="$NIX_AURORA_STORE"
    export NIX_DAEMON_SOCKET_PATH="$NIX_AURORA_SOCKET"
fi

# nix profile creates the link to the user's profile in one of two places, depending on Nix's
# setting use-xdg-base-directories. Some layouts use only the first place.
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

# The default profile is added first, so that the user's profile comes before it in PATH.
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
    # Nix's wrappers split this variable at spaces, so a profile with a space cannot be listed.
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

# The first installed package creates the profile, and its programs should start at once. So an
# interactive bash or zsh that starts without a profile looks for it before each prompt.
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
