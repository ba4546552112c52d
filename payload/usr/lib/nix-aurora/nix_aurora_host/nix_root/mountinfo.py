"""The table of mounts in /proc/self/mountinfo, whose format is in proc(5)."""


class Mount:
    """A mount: where it is, its own options, its type, its source, its file system's options."""

    def __init__(self, where: str, flags: str, kind: str, source: str, options: str) -> None:
        self.where = where
        self.flags = flags
        self.kind = kind
        self.source = source
        self.options = options


def read_mounts() -> list[Mount]:
    """Return the mounts that this process sees, the topmost of a directory last."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def parse(text: str) -> list[Mount]:
    """Parse the table; a name may have any character but NUL."""
    mounts = []
    for line in text.split("\n"):
        if not line:
            continue
        own, _, shared = line.partition(" - ")
        where, flags = own.split(" ")[4:6]
        kind, source, options = shared.split(" ", 2)
        mounts.append(Mount(_unescape(where), flags, kind, _unescape(source), options))
    return mounts


def _unescape(field: str) -> str:
    r"""Return ``field`` with its octal escapes replaced: ``\040`` is a space."""
    first, *rest = field.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def topmost(mounts: list[Mount], where: str) -> Mount | None:
    """Return the mount that is seen on a directory, or None."""
    found = [mount for mount in mounts if mount.where == where]
    return found[-1] if found else None


def count(mounts: list[Mount], where: str) -> int:
    """Return how many mounts lie on a directory."""
    return sum(1 for mount in mounts if mount.where == where)


def outermost(places: set[str]) -> list[str]:
    """Return the directories, without /, that lie in no other of ``places`` but /."""
    return sorted(place for place in places - {"/"} if not _parents(place) & places)


def _parents(place: str) -> set[str]:
    """Return the directories above ``place``, without /."""
    names = place.split("/")
    return {"/".join(names[:length]) for length in range(2, len(names))}
