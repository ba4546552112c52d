"""What the commands print about a host.

In: facts, findings, and the state of the root directory.
Out: lines for people, and values that become JSON for programs. All text is fit for a terminal.
"""
