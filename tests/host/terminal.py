"""A user at a terminal of a host."""

import shlex

from tests.harness.nspawn import Host

_SCRIPT = r"""
import os, pty, re, sys
command, *steps = sys.argv[1:]
pid, screen = pty.fork()
if pid == 0:
    os.execlp("bash", "bash", "--norc", "-c", command)
shown, begin = "", 0
def read():
    global shown
    try:
        text = os.read(screen, 4096).decode()
    except OSError:
        text = ""
    shown += text
    return text
for pattern, keys in zip(steps[::2], steps[1::2]):
    while not (found := re.search(pattern, shown[begin:])):
        if not read():
            sys.exit(f"{pattern}: never shown: {shown}")
    begin += found.end()
    os.write(screen, keys.encode().decode("unicode_escape").encode())
while read():
    pass
print(shown, "exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def at_terminal(host: Host, command: str, *steps: str) -> str:
    """Run a command as tester at a terminal; return the screen's text, and the exit code.

    ``steps`` alternate between a regular expression to wait for and the text to type then.
    """
    return host.run_as("tester", shlex.join(["python3", "-c", _SCRIPT, command, *steps])).stdout
