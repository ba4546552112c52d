"""Gather facts about a host. Nothing here changes the host, and any user can run it.

In: the running system: files, processes, units, and the answers of other programs.
Out: facts, each declared beside the function that gathers it. None stands for an unreadable value.
"""
