"""nix-root.service, which moves the system onto a root directory with /nix: facts and words.

The service itself is /usr/libexec/nix-aurora/nix-root; its settings are edited by mount.py.

In: what nix-root left in this boot, and the settings.
Out: the state of the root directory, in words for people, and what enabling it takes.
"""
