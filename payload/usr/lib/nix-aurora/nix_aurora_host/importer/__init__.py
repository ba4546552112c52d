"""The import: copy the packaged closure into the store, and register it with Nix.

It can be run again at any time, and killed at any instruction. Missing paths are cloned, verified
and synced outside store/, and appear there only by a rename, under Nix's own collector lock, which
is held until the paths are registered and rooted. The stamp comes last. A valid path is never
changed, and only the import's own work directory is deleted.

In: the package's closure, and the leftovers of an interrupted import or of a user.
Out: store paths in the store, registered and rooted, and the stamp.
"""
