"""The release: which files it has, and the files themselves.

In: ``pins.toml``, and the servers that have the pinned files; or a file or URL from the caller.
Out: a Nix binary tarball on disk, with the digest that its pin promises, and its origin.
"""
