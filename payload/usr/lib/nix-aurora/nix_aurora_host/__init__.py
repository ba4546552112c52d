"""The Python code of nix-aurora on a host: its command, the import, and copies of the database.

Rooms, in the order in which data passes them: ``nix_root``, ``database`` and ``importer`` maintain
/nix and the store, ``gather`` reads the host and changes nothing, ``checks`` evaluates the facts,
``report`` prints them, and ``commands`` contains a module for each command. The code uses only the
standard library of Python 3.11 and newer.
"""
