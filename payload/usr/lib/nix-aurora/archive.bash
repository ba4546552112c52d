# archive.bash: the packaged closure, verified, and its store paths unpacked into $work: for the
# import, whose work directory and messages it uses.
# shellcheck disable=SC2154 # what is read here is set there

readonly archive=/usr/lib/nix-aurora/closure.tar.zst opened=/proc/self/fd/5
readonly registration=/usr/lib/nix-aurora/closure.reginfo
readonly spare=$((32 << 20)) # bytes that the file system keeps free

# Which command brings the package's files back depends on the host, and doctor knows it.
readonly reinstall="sudo nix-aurora doctor"

# Read the registration, and open the archive, once: an upgrade of the package gives their names to
# other files. The digests of both are on their way from here on.
lines=()
open_closure() {
    [ -r "$registration" ] || fail "$registration: cannot be read" "$reinstall"
    [ -r "$archive" ] || fail "$archive: cannot be read" "$reinstall"
    mapfile -t lines <"$registration"
    exec 4< <(
        printf '%s\n' "${lines[@]}" "$CLOSURE_NIX" "$CLOSURE_CACERT" "$CLOSURE_MANUAL" | sha256sum
    )
    exec 5<"$archive"
    exec 6< <(b2sum <"$opened")
}

digest=
verify_archive() {
    [ -n "$digest" ] || read -r digest _ <&6
    [ "$digest" = "$ARCHIVE_BLAKE2B" ] \
        || fail "$archive: expected BLAKE2b $ARCHIVE_BLAKE2B, got $digest" "$reinstall"
}

# Fills record: for each store path's name, where its lines begin.
# Format: path, hash, NAR size, deriver, number of references, the references; a line each. The
# closure's id is the start of their digest, with the roots behind them: nothing is made of what
# does not match.
declare -A record=()
read_registration() {
    local id line=0
    read -r id _ <&4
    [ "${id:0:32}" = "$CLOSURE_ID" ] \
        || fail "$registration: expected that of closure $CLOSURE_ID, got another" "$reinstall"
    [ "$prefix" = /nix/store ] || lines=("${lines[@]/#\/nix\/store\//$prefix/}")
    while ((line < ${#lines[@]})); do
        record[${lines[line]##*/}]=$line
        line=$((line + 5 + lines[line + 4]))
    done
}

require_space() { # BYTES
    local blocks block_size need free
    read -r blocks block_size < <(stat --file-system --format='%a %S' "$base")
    need=$((($1 + spare) >> 20)) free=$((blocks * block_size >> 20))
    [ "$free" -ge "$need" ] || fail "$base: expected $need MiB of free space, got $free" \
        "free some, then: sudo systemctl restart nix-setup.service"
}

# The archive is one tar archive, cut where a store path begins and compressed part by part: as
# many processors unpack it.
extract() { # TAR-OPTION...
    local size pid start=0 status=0
    local -a sizes running=()
    IFS=, read -ra sizes <<<"$ARCHIVE_PARTS"
    for size in "${sizes[@]}"; do
        extract_part "$start" "$size" "$@" &
        running+=("$!")
        start=$((start + size))
    done
    for pid in "${running[@]}"; do wait "$pid" || status=$?; done
    return "$status"
}

# Blocks of a pipe's size instead of 10 KiB make tar quicker by a fifth. Zeros end the archive, and
# what pads it may begin another block: unless tar reads on, zstd dies of a closed pipe.
extract_part() { # START SIZE TAR-OPTION...
    dd if="$opened" iflag=skip_bytes,count_bytes skip="$1" count="$2" bs=128K status=none \
        | zstd --decompress --stdout --quiet \
        | tar --extract --directory="$work" --blocking-factor=128 --read-full-records \
            --ignore-zeros --anchored --no-wildcards "${@:3}"
}

# Unpack the named store paths into $work/store, but for those that are there already, and verify
# the archive meanwhile: nobody uses what is there before this has returned. It is the others that
# tar is told: it is slow with a list of what to extract, and quick with exclusions.
unpack() { # NAME...
    local name need=0 failed=
    local -A others=()
    for name in "${!record[@]}"; do others[$name]=--exclude=store/$name; done
    for name; do
        exists "$work/store/$name" && continue
        unset "others[$name]"
        need=$((need + lines[record[$name] + 2]))
    done
    [ "$need" -gt 0 ] || return 0
    require_space "$need"
    extract "${others[@]}" |& sed -n 1,3p >&2 || failed=yes
    verify_archive
    [ -z "$failed" ] || fail "$archive: cannot be unpacked into $work" \
        "look above for tar's reason, then: sudo systemctl restart nix-setup.service"
}

all_unpacked() {
    local name
    for name in "${missing[@]}"; do
        exists "$work/store/$name" || return 1
    done
}
