"""Check the README's promises on a real host, over ssh.

This side needs Python's standard library and ssh, the host needs POSIX sh::

    command -> connection -> host (facts) -> walk (checks/) -> outcome -> mask -> report
"""
