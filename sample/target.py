"""The target of a sample: a Debian suite and an architecture."""

from typing import NamedTuple


class Architecture(NamedTuple):
    """One machine architecture in the spellings of several projects."""

    name: str  # in Nix's spelling, without "-linux"
    debian: str
    triplet: str  # Debian's library directory
    loader: str  # file name of glibc's dynamic loader
    elf_machine: int  # e_machine; System V ABI


class Target(NamedTuple):
    """A suite, which provides the Nix, and the architecture on which it runs."""

    suite: str
    architecture: Architecture

    @property
    def system(self) -> str:
        """Return Nix's name of the platform."""
        return f"{self.architecture.name}-linux"


SUITES = ("forky", "trixie")  # the first is the default
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2", 62),
        Architecture("aarch64", "arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1", 183),
    )
}
