"""The formats of a Nix store: names, hashes, archives, registrations, and trees on disk.

In: bytes and names that nobody has checked.
Out: values and trees that Nix and RPM accept, or the fault that says why they do not.
"""
