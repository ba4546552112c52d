"""Follow a page of the documentation on a host, like a user at a shell."""

from collections.abc import Mapping, Sequence

from tests.harness.commands import Result
from tests.harness.nspawn import Host
from tests.readme import commands, every_command, file_block


class Page:
    """A page whose sections are followed; ``left`` has the commands that no test has run yet."""

    def __init__(self, host: Host, page: str, *, left_out: Sequence[str] = ()) -> None:
        """Read the page; ``left_out`` are the commands that cannot run here."""
        self._host = host
        self._page = page
        self._left_out = left_out
        self.left = [command for command in every_command(page) if command not in left_out]

    def commands(self, heading: str) -> list[str]:
        """Return the section's commands that can run, and remove them from ``left``."""
        found = [line for line in commands(heading, self._page) if line not in self._left_out]
        assert found, heading
        self.left = [command for command in self.left if command not in found]
        return found

    def run(self, heading: str, *, user: str = "tester") -> Result:
        """Run the section's commands, as they are written."""
        return self.type(self.commands(heading), user=user)

    def type(
        self,
        lines: Sequence[str],
        *,
        user: str = "tester",
        host: Host | None = None,
        names: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Result:
        """Run commands of the page in one login shell, on this host or another.

        ``names`` maps placeholders on the page to their values.
        """
        script = _named("\n".join(lines), names)
        return (host or self._host).run_as(user, f"set -eu\n{script}", check=check)

    def write(
        self,
        heading: str,
        language: str,
        path: str,
        *,
        user: str = "root",
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Append the section's file to ``path``, like a user with an editor."""
        text = _named(file_block(heading, self._page, language), names)
        script = f"mkdir -p \"$(dirname {path})\"\ncat >>{path} <<'PAGE'\n{text}PAGE"
        if user == "root":
            self._host.run(script)
        else:
            self._host.run_as(user, f"set -eu\n{script}")


def _named(text: str, names: Mapping[str, str] | None) -> str:
    for name, value in (names or {}).items():
        assert name in text, name
        text = text.replace(name, value)
    return text
