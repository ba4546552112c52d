"""The closure: the content of the tarball, unpacked, proven and described.

In: a Nix binary tarball, which may be hostile.
Out: a staged tree with proven store paths, its manifest, SBOM and licenses.
"""
