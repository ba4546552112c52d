"""The formats of a Nix store: names, hashes, archives, registrations, and trees on disk.

In: unchecked bytes and names.
Out: values and trees that Nix and RPM accept, or an error that says why they do not.
"""
