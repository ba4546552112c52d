"""What is known about the graphics drivers in /run/opengl-driver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Other:
    """A file that sets the link, too, and is not ours: its path, and what it is."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVIDIA's driver on this host.

    ``module`` is the version of the kernel module that is loaded. ``others`` are the kernel drivers
    of further GPUs, as far as mesa has a driver for those.
    """

    module: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpu:
    """The drivers that nix-aurora gpu has enabled, and what /run/opengl-driver is now.

    ``target`` is the store path of the line in tmpfiles.d; None where there is no such line. If
    there is a file with something else, ``damaged`` is true. ``link`` is where the link leads;
    ``occupied`` means that something else than a link is there. ``there`` says whether the store
    has the target, or without one, whether the link leads to something; ``valid`` whether the
    database knows the target, None where it cannot be read. ``kept`` are the store paths that our
    roots keep, ``provides`` the version of NVIDIA's libraries among the drivers.
    """

    installable: str = ""
    target: str | None = None
    damaged: bool = False
    link: str | None = None
    occupied: bool = False
    there: bool = True
    valid: bool | None = None
    kept: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()
    nvidia: Nvidia = Nvidia()
    provides: str | None = None

    @property
    def enabled(self) -> bool:
        """Return whether each boot makes the link, or is to make it."""
        return self.target is not None or self.damaged

    @property
    def foreign(self) -> bool:
        """Return whether somebody else has made what is at /run/opengl-driver."""
        return self.occupied or self.link not in {None, self.target, *self.kept}
