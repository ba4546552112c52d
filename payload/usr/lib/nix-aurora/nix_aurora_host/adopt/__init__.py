"""Another Nix's store, taken over with every user's packages.

Everything in that store is untrusted until it was compared with its own database. Nothing of it is
ever deleted. A takeover may be killed at any instruction and run again: the journal and the inode
numbers of what it moves tell how far it came, and no state in between lets a Nix of either store
delete anything.

In: a directory with `store` and `var/nix`, and what this host's own store has.
Out: the store of the host, changed; lines that say what was done and what is left to do.
"""
