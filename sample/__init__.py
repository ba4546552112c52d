"""The sample closure: a real Nix to package and to run in tests, where no release can be had.

Debian's packages of a newer suite give the binaries; what comes out has the layout of the
official Nix binary tarball and the shape of Determinate's: ``python -m sample --help``.
"""
