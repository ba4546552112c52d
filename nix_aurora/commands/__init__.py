"""The commands of build.py, one module each, and the modules that several of them share.

In: the words of a command line.
Out: the lines for stdout, usually the paths of the results.
"""
