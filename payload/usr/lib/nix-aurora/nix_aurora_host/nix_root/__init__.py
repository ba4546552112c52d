"""The root directory with /nix: the program nix-root, and the command's report about it.

nix-root runs early in each boot, so its modules import nothing that takes long to load. It starts
in ``program``. ``decide`` chooses whether the system moves, ``build`` makes the new root, ``move``
moves every process there and cleans up. The command uses ``facts``, ``gather`` and ``words``.

In: the table of mounts, the settings, the boots that failed; nix-root's files of this boot.
Out: a root directory with /nix, or why there is none; its state in words for people, and the
steps that enable it.
"""
