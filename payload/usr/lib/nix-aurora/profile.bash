# profile.bash: the default profile, which has the packaged Nix and certificates, and what else the
# administrator puts there: for the import.
# shellcheck disable=SC2154 # what is read here is set there

# The default profile moves on with the package, unless the administrator put another Nix there
# than the one that is rooted still.
update_profile() {
    local shown
    if [ -e "$profile/bin/nix" ]; then
        shown=$(readlink --canonicalize "$profile/bin/nix")
        [ "$shown" != "$(readlink --canonicalize "$CLOSURE_NIX/bin/nix")" ] || return 0
        if [ "$shown" != "$(readlink --canonicalize "$roots/nix/bin/nix")" ] \
            && [ "$shown" != "$(readlink --canonicalize "$roots/profile/bin/nix")" ]; then
            say "the default profile has another Nix, which stays: $shown"
            return
        fi
        # Ahead of the others: whatever runs after this one was killed knows the new one as ours.
        mv --force --no-copy --target-directory="$roots" -- "$work/roots/profile"
    fi
    install_profile
}

install_profile() {
    # Nothing to download, to build elsewhere, or to shut into a sandbox: Nix makes links.
    local -a local_only=(--option substitute false --option builders '' --option sandbox false)
    local path bundle=etc/ssl/certs/ca-bundle.crt
    local -a command=("$CLOSURE_NIX/bin/nix" --extra-experimental-features 'nix-command flakes'
        profile)
    if ! exists "$profile" && ! exists "$profile-1-link"; then # a first one: as it is packaged
        ln --symbolic "$CLOSURE_PROFILE" "$profile-1-link"
        ln --symbolic "${profile##*/}-1-link" "$profile"
    elif [ -e "$profile/manifest.json" ]; then # the administrator uses nix profile on it
        for path in $("$CLOSURE_NIX/bin/nix-store" --query --references "$profile"); do
            if [ "$path/bin/nix" -ef "$profile/bin/nix" ] \
                || [ "$path/$bundle" -ef "$profile/$bundle" ]; then
                "${command[@]}" remove --profile "$profile" "$path"
            fi
        done
        "${command[@]}" install --profile "$profile" "${local_only[@]}" \
            "$CLOSURE_NIX" "$CLOSURE_CACERT"
    else
        "$CLOSURE_NIX/bin/nix-env" --profile "$profile" "${local_only[@]}" \
            --install "$CLOSURE_NIX" "$CLOSURE_CACERT"
    fi
}
