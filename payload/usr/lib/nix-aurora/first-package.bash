# first-package.bash: make bash or zsh look for the user's profile before each prompt, until it
# exists. /etc/profile.d/nix.sh sources this file. __nix_awaited_xdg and __nix_awaited_home are the
# two places where the profile can appear. This file uses arrays, which POSIX sh does not have.

__nix_seek() {
    if [ -d "${__nix_awaited_xdg-}" ] || [ -d "${__nix_awaited_home-}" ]; then
        unset __nix_awaited_xdg __nix_awaited_home
        # shellcheck source=payload/etc/profile.d/nix.sh
        . /etc/profile.d/nix.sh
    fi
}

if [ -n "${BASH_VERSION-}" ]; then
    # Users assign to the first element, so the hook is another element.
    case " ${PROMPT_COMMAND[*]-} " in
        *" __nix_seek "*) ;;
        *)
            PROMPT_COMMAND[0]=${PROMPT_COMMAND[0]-}
            PROMPT_COMMAND+=(__nix_seek)
            ;;
    esac
elif [ -n "${ZSH_VERSION-}" ]; then
    case " ${precmd_functions[*]-} " in
        *" __nix_seek "*) ;;
        *) precmd_functions+=(__nix_seek) ;;
    esac
fi
