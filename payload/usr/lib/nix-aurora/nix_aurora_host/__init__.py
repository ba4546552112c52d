"""The command nix-aurora: gather facts from a host, judge them, print.

``gather`` asks the system and changes nothing, ``checks`` turns facts into findings and touches
nothing, ``purge`` alone removes things. Standard library only, for Python 3.11 and newer.
"""
