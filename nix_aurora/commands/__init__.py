"""The commands of build.py, a module each, and what several of them share.

In: the words of a command line.
Out: the lines that go to stdout, as a rule the paths of what was made.
"""
