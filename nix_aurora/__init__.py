"""nix-aurora: from a pinned Determinate Nix release to RPMs for Fedora Atomic hosts.

The rooms, in the order in which a release passes through them. A room imports from itself and
from those before it::

    release -> store -> closure -> package -> publish -> commands -> cli

Every room may use the modules beside them: errors, files, log, run, text.
"""
