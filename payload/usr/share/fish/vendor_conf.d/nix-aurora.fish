# Set up Nix in fish, as /etc/profile.d/nix.sh does in other shells. That file explains the reasons.
# Change both.

set -l env /run/nix-aurora/env
test -r $env; or set env /usr/lib/nix-aurora/env
set -l store (string replace --filter --regex '^NIX_AURORA_STORE=' '' <$env)
set -l state (string replace --filter --regex '^NIX_AURORA_STATE=' '' <$env)
set -l default (string replace --filter --regex '^NIX_AURORA_PROFILE=' '' <$env)
set -l socket (string replace --filter --regex '^NIX_AURORA_SOCKET=' '' <$env)
set -l user_state (string replace --filter --regex '^NIX_AURORA_USER_STATE=' '' <$env)
set -l user_link (string replace --filter --regex '^NIX_AURORA_USER_LINK=' '' <$env)
set -l bundle (string replace --filter --regex '^NIX_AURORA_CA_BUNDLE=' '' <$env)

if test "$store" != /nix/store
    set -gx NIX_STORE_DIR $store
    set -gx NIX_DAEMON_SOCKET_PATH $socket
end

set -l places
set -l link
if set -q HOME[1]; and test -n "$HOME"
    set -l states "$HOME/.local/state"
    if set -q XDG_STATE_HOME[1]; and test -n "$XDG_STATE_HOME"
        set states "$XDG_STATE_HOME"
    end
    set places "$states/$user_state/profile"
    set link $places
    if test -n "$user_link"
        set --append places "$HOME/$user_link"
        test -d "$link/"; or set link "$HOME/$user_link"
    end
end

for profile in $default $link
    test -d "$profile/"; or continue
    if test -d "$profile/bin/"; and not contains -- "$profile/bin" $PATH
        set -gx PATH "$profile/bin" $PATH
    end
    if not string match --quiet -- "* $profile *" " $NIX_PROFILES "
        and not string match --quiet -- "* *" "$profile"
        set -gx NIX_PROFILES (string trim -- "$NIX_PROFILES $profile")
    end
end

for profile in $link $default
    set -l data "$XDG_DATA_DIRS"
    test -n "$data"; or set data /usr/local/share:/usr/share
    if test -d "$profile/share/"; and not contains -- "$profile/share" (string split : -- $data)
        set -gx XDG_DATA_DIRS "$data:$profile/share"
    end
end

if test -z "$NIX_SSL_CERT_FILE"; and test -r "$bundle"
    set -gx NIX_SSL_CERT_FILE "$bundle"
end

if status is-interactive
    and set -q link[1]; and test -d $state/; and not contains -- "$link/bin" $PATH
    set -g __nix_awaited $places
    function __nix_seek --on-event fish_prompt
        for profile in $__nix_awaited
            test -d "$profile/bin/"; or continue
            functions --erase __nix_seek
            set --erase __nix_awaited
            source /usr/share/fish/vendor_conf.d/nix-aurora.fish
            return
        end
    end
end
