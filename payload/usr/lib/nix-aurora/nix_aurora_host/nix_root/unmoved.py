"""Why nix-root left the root directory as it is: its words in /run/nix-aurora/unmoved."""

FAILED = "failed"  # nix-root did
FAILED_BOOTS = "failed-boots"
EXHAUSTED = "exhausted"  # each kind of root has failed with this kernel
ETC = "etc"  # it cannot keep a note of failed boots
STACKED = "stacked"  # more than one file system on /
ANOTHER = "another"  # Nix would mount its store on the new /nix
LATE = "late"  # the system was up already
