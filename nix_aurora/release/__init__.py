"""The release: its files, where they come from, and the advisories about it.

In: ``pins.toml``, and the servers that have the pinned files; or a file or URL from the caller;
``advisories.toml``.
Out: a Nix binary tarball on disk, with the digest that its pin promises, and its origin; which
advisories apply to it.
"""
