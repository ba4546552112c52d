# Completion of nix-aurora for fish: what its argument parser takes. A test compares the two.

function __nix_aurora_at --description 'Tell whether these are the words so far, options aside'
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -l found (string match --invert -- '-*' $words[2..-1])
    test "$found" = "$argv"
end

function __nix_aurora_in --description 'Tell whether this is the command'
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    test "$words[2]" = "$argv"
end

set -l add complete --command nix-aurora

$add --no-files
$add --condition '__nix_aurora_at' --long-option help
$add --condition '__nix_aurora_at' --long-option version
$add --condition '__nix_aurora_at' --arguments status --description 'Show what is there'
$add --condition '__nix_aurora_at' --arguments doctor --description 'Find faults, each with a fix'
$add --condition '__nix_aurora_at' --arguments shell --description 'Start a shell that sees /nix'
$add --condition '__nix_aurora_at' --arguments mount --description 'A /nix where there can be none'
$add --condition '__nix_aurora_at' --arguments recover --description 'Register what was forgotten'
$add --condition '__nix_aurora_at' --arguments relabel --description 'Give the store its labels'
$add --condition '__nix_aurora_at' --arguments purge --description 'Remove the store'

$add --condition '__nix_aurora_at status' --long-option help
$add --condition '__nix_aurora_at status' --long-option json --description 'For programs'
$add --condition '__nix_aurora_at doctor' --long-option help
$add --condition '__nix_aurora_at doctor' --long-option json --description 'For programs'

$add --condition '__nix_aurora_at shell' --long-option help
$add --condition '__nix_aurora_in shell' --force-files \
    --arguments '(__fish_complete_subcommand --fcs-skip=2)'

$add --condition '__nix_aurora_at mount' --long-option help
$add --condition '__nix_aurora_at mount' --arguments enable --description 'Have every boot make one'
$add --condition '__nix_aurora_at mount' --arguments disable --description 'Have no boot make one'
$add --condition '__nix_aurora_at mount' --arguments status --description 'Show how it stands'
$add --condition '__nix_aurora_at mount enable' --long-option help
$add --condition '__nix_aurora_at mount enable' --long-option now --description 'At once, too'
$add --condition '__nix_aurora_at mount enable' --long-option again --description 'Also what failed'
$add --condition '__nix_aurora_at mount enable' --long-option yes --description 'Do not ask'
$add --condition '__nix_aurora_at mount enable' --long-option dry-run --description 'Say it alone'
$add --condition '__nix_aurora_at mount disable' --long-option help
$add --condition '__nix_aurora_at mount status' --long-option help
$add --condition '__nix_aurora_at mount status' --long-option json --description 'For programs'

$add --condition '__nix_aurora_at recover' --long-option help
$add --condition '__nix_aurora_at recover' --long-option yes --description 'Do not ask'
$add --condition '__nix_aurora_at recover' --long-option dry-run --description 'Say it alone'
$add --condition '__nix_aurora_at recover' --long-option json --description 'For programs'
$add --condition '__nix_aurora_at relabel' --long-option help
$add --condition '__nix_aurora_at relabel' --long-option yes --description 'Do not ask'
$add --condition '__nix_aurora_at relabel' --long-option dry-run --description 'Say it alone'
$add --condition '__nix_aurora_at relabel' --long-option json --description 'For programs'
$add --condition '__nix_aurora_at purge' --long-option help
$add --condition '__nix_aurora_at purge' --long-option yes --description 'Do not ask'
$add --condition '__nix_aurora_at purge' --long-option dry-run --description 'Say it alone'
