"""nix-root.service, which moves the system onto a root directory with /nix: facts and words.

The service itself is /usr/libexec/nix-aurora/nix-root; its settings are edited by mount.py.
"""
