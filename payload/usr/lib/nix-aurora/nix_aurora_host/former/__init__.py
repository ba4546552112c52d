"""Leftovers of another Nix on the host: find them by content, put them aside without loss.

In: files below /etc, the mounts, and the places where installers keep a store.
Out: traces, each with its author and its effect; the stores; and all traces put aside.
"""
