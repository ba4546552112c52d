"""What another Nix has left on the host: found by its content, put aside without loss.

In: files below /etc, the mounts, and the places where installers keep a store.
Out: traces, each with whose it is and what it does; the stores; and all traces put aside.
"""
