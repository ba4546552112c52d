"""The text that commands print about a host.

In: facts, findings, and the state of the root directory.
Out: lines for people, and JSON values for programs. All text is safe for a terminal.
"""
