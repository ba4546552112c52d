"""Collection of garbage: by a timer, if the administrator has asked for it, or by a command.

Nix's collector forgets a root whose target it cannot see. So nothing is collected while a root
leads to a place that may only be out of sight. Profiles belong to their users, who may put
anything into them: only processes of the same user touch them.

In: the roots of the collector, the mounts and homes of the host, Nix's database.
Out: fewer generations and store paths; what a collection would free; Nix's limits of free space.
"""
