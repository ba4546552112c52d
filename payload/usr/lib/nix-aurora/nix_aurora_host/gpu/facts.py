"""Facts about the graphics drivers in /run/opengl-driver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Other:
    """A file that also sets the link and is not ours: its path and a description."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Nvidia:
    """NVIDIA's driver on this host.

    ``module`` is the version of the loaded kernel module. ``others`` are the kernel drivers of
    other GPUs that mesa supports.
    """

    module: str | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpu:
    """The drivers that nix-aurora gpu enabled, and the present state of /run/opengl-driver.

    ``target`` is the store path of the line in tmpfiles.d; None if there is no such line.
    ``damaged`` means that our file has other content. ``link`` is the target of the link;
    ``occupied`` means that a file or directory is in its place. ``there`` is whether the store
    contains the target, or without a target, whether the link leads to an existing file. ``valid``
    is whether the database knows the target, None if it cannot be read. ``kept`` are the store
    paths that our roots keep, ``provides`` the version of NVIDIA's libraries among the drivers.
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
        """Return whether each boot creates the link, or would without the damage."""
        return self.target is not None or self.damaged

    @property
    def foreign(self) -> bool:
        """Return whether another program created /run/opengl-driver."""
        return self.occupied or self.link not in {None, self.target, *self.kept}
