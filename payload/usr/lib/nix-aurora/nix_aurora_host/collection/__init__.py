"""Collection of garbage: by a timer, if the administrator enabled it, or by a command.

Nix's collector removes a root if it cannot see the target. So nothing is collected while the target
of a root may be hidden, for example on a disk that is not mounted. Profiles belong to their users,
who may put any file into them: only processes of the same user change them.

In: the roots of the collector, the mounts and homes of the host, Nix's database.
Out: fewer generations and store paths, an estimate of a collection, Nix's limits of free space.
"""
