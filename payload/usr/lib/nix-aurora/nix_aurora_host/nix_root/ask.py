"""Ask other programs: the states of units, the settings, and unit names of paths."""

import os

from nix_aurora_host.errors import CommandError

_LAYOUT = "/usr/libexec/nix-aurora/layout"
_SYSTEMCTL = "/usr/bin/systemctl"
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.")


def ask_layout() -> str:
    """Return STORE_LAYOUT from /etc/nix-aurora.conf; nix-layout reports the file's faults."""
    return parse_layout(_output([_LAYOUT, "--settings"]))


def parse_layout(text: str) -> str:
    """Parse the output of `layout --settings`, of which only the last line matters here."""
    return text.split("\n")[-2].removeprefix("layout\t")


def ask_units(units: list[str], properties: str) -> list[dict[str, str]]:
    """Return the properties of each of ``units``, in their order."""
    return parse_units(_output([_SYSTEMCTL, "show", f"--property={properties}", *units]))


def parse_units(text: str) -> list[dict[str, str]]:
    """Parse the output of `systemctl show`: a paragraph for each unit, with lines KEY=VALUE."""
    found = []
    for paragraph in text.split("\n\n"):
        pairs = [line.partition("=") for line in paragraph.split("\n") if line]
        found.append({key: value for key, _, value in pairs})
    return found


def unit_name(path: str, suffix: str) -> str:
    """Return the name of the unit that mounts something on ``path``: systemd.unit(5)."""
    return _escape(path.strip("/")).replace("/", "-") + suffix


def _escape(path: str) -> str:
    characters = [_escape_byte(byte) for byte in os.fsencode(path)]
    if path.startswith("."):
        characters[0] = r"\x2e"
    return "".join(characters)


def _escape_byte(byte: int) -> str:
    character = chr(byte)
    return character if character in _PLAIN or character == "/" else rf"\x{byte:02x}"


def _output(command: list[str]) -> str:
    """Return the output of a program; raise CommandError if it fails."""
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe:
        to_pipe = [(os.POSIX_SPAWN_DUP2, writer, 1)]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=to_pipe)
        os.close(writer)
        printed = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        code = os.waitstatus_to_exitcode(status)
        raise CommandError(f"cannot run {' '.join(command)}: exit code {code}")
    return os.fsdecode(printed)
