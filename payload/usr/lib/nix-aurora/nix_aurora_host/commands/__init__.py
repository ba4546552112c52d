"""The commands of nix-aurora, one module for each, and what several of them share.

In: the words of a command line.
Out: an exit code. A command's result is on stdout, everything else on stderr.
"""
