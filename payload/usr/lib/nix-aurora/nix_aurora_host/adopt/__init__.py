"""Take over another Nix's store with every user's packages.

Everything in that store is untrusted until it was compared with its own database. Nothing in it is
ever deleted. A takeover may be killed at any instruction and run again: the journal and the inode
numbers of the moved directories show which steps were done, and no state in between lets a Nix of
either store delete anything.

In: a directory with `store` and `var/nix`, and this host's own store.
Out: the store of the host, changed; lines about the result and the remaining steps.
"""
