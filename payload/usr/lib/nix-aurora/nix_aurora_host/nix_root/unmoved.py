"""The reasons why nix-root left the root directory unchanged, in /run/nix-aurora/unmoved."""

FAILED = "failed"  # nix-root failed
FAILED_BOOTS = "failed-boots"
EXHAUSTED = "exhausted"  # each kind of root has failed with this kernel
ETC = "etc"  # it cannot record failed boots
STACKED = "stacked"  # more than one file system on /
ANOTHER = "another"  # another Nix would mount its store on the new /nix
LATE = "late"  # the system was already up
