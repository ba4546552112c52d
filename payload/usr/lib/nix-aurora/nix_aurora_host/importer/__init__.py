"""The import: the packaged closure, brought into the store and registered with Nix.

It can be run again at any time, and killed at any instruction: what is missing is cloned, proven
and synced outside store/, and appears there by rename only, under Nix's own collector lock, which
is held until the paths are registered and rooted. The stamp comes last. A valid path is never
touched, and nothing is deleted but the import's own work directory.

In: the package's closure, and whatever an interrupted import, or a user, left.
Out: store paths in the store, registered and rooted, and the stamp.
"""
