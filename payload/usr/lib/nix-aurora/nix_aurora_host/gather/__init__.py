"""What is known about a host. All of it is read-only, and works for any user.

In: the running system: files, processes, units, and the answers of other programs.
Out: facts, each declared beside the function that gathers it. None is what could not be read.
"""
