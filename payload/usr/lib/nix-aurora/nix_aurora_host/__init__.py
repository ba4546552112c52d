"""What nix-aurora brings to a host in Python: its command, the import, the copies of the database.

Rooms, in the order in which data passes them: ``nix_root``, ``database`` and ``importer`` keep /nix
and the store, ``gather`` reads the host and changes nothing, ``checks`` judges what was read,
``report`` prints it, and ``commands`` has a module for each command. Standard library only, for
Python 3.11 and newer.
"""
