"""The acceptance script: walk the promises of the README on a real host, over ssh.

It needs Python's standard library and ssh here, and POSIX sh there::

    command -> connection -> host (facts) -> walk (checks/) -> outcome -> mask -> report
"""
