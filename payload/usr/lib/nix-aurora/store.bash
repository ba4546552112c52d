# store.bash: where the store lies in this boot's layout, and whether the packaged closure is in it:
# for the import, and for the daemon, which waits for it.
# shellcheck disable=SC2034 # what is set here is read there

# shellcheck source=/dev/null # rendered when the package is built
. /usr/lib/nix-aurora/closure.env

layout=
[ ! -r /run/nix-aurora/layout ] || read -r layout </run/nix-aurora/layout
if [ "$layout" = relocated ]; then
    readonly base=/var/lib/nix/relocated prefix=/run/nix/store
else
    readonly base=/var/lib/nix prefix=/nix/store
fi
readonly layout store=$base/store state=$base/var/nix
# On the store's file system, but not in store/: the collector deletes what it does not know. Root's
# own is closed to users; in the relocated layout they read the description of the closure.
readonly own=$base/.nix-aurora described=$base/closure
readonly stamp=$own/imported
readonly roots=$state/gcroots/nix-aurora profile=$state/profiles/default

exists() { [ -e "$1" ] || [ -L "$1" ]; }

# Nix reads these files before it opens the database; where there is none, it writes one. This
# need not find every fault: an import that is asked for looks closer.
is_schema_readable() {
    local file text
    for file in "$state/db/schema" "$state/db/ca-schema"; do
        [ -e "$file" ] || continue
        text=
        IFS= read -rd '' text <"$file" || : # there is no byte 0 to end at
        [[ $text =~ ^[0-9]{2,9}$ || (${file##*/} = ca-schema && $text =~ ^[0-9]$) ]] || return 1
    done
}

# Told by a handful of stats: the store, the database and the roots may have been lost since the
# stamp was written.
is_imported() {
    [ -r "$stamp" ] && [ "$(<"$stamp")" = "$CLOSURE_ID" ] && [ ! -e "$own/import-needed" ] \
        && exists "$store/${CLOSURE_NIX##*/}/bin/nix" && exists "$store/${CLOSURE_CACERT##*/}" \
        && [ -e "$state/db/db.sqlite" ] && is_schema_readable && [ -L "$roots/nix" ] \
        && { [ -L "$profile" ] || [ -r "$described/closure" ]; }
}
