"""The build users, from the package's sysusers.d file, which alone defines their names and ids."""

from nix_aurora_host import paths

GROUP = "nixbld"


def read_members() -> tuple[str, ...]:
    """Return the names of the build users; none if the file cannot be read."""
    try:
        with open(paths.SYSUSERS, encoding="utf-8") as file:  # noqa: PTH123 - pathlib loads slowly
            return parse_members(file.read())
    except OSError:  # the package is damaged, which doctor reports
        return ()


def parse_members(text: str) -> tuple[str, ...]:
    """Parse sysusers.d(5); return the members of the group in the order of the file."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) == 3 and words[::2] == ["m", GROUP])
