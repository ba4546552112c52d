"""The sample closure: a real Nix for builds and tests that cannot download a release.

Its binaries are from the Debian packages of a newer suite. The result has the layout of the
official Nix binary tarball and the shape of Determinate's: ``python -m sample --help``.
"""
