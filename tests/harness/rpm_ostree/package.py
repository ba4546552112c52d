"""Read an RPM's header, and its payload."""

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rpm

Read = Callable[[int], bytes]


@dataclass(frozen=True)
class Package:
    """A package: its header, and its file if there is one. The bindings have no types."""

    header: rpm.hdr
    path: Path | None = None

    @property
    def name(self) -> str:
        """Return the package's name, without version."""
        return str(self.header["name"])

    @property
    def nevra(self) -> str:
        """Return name, version, release and architecture in one word."""
        return str(self.header["nevra"])

    @property
    def files(self) -> Iterable[rpm.file]:
        """Return the header's entry for each file."""
        return list(rpm.files(self.header))

    def payload(self) -> Iterator[tuple[rpm.file, Read]]:
        """Yield each entry of the package's archive with a reader of its content.

        Only the last of several hard links has content. ``%ghost`` files are missing.
        """
        if self.path is None:
            raise ValueError(f"{self.name} is a header without a file")
        with self.path.open("rb") as file:
            header = _transaction().hdrFromFdno(file.fileno())
            # The header of an uncompressed payload does not name a compressor.
            compressor = header[rpm.RPMTAG_PAYLOADCOMPRESSOR] or "ufdio"
            archive = rpm.files(header).archive(rpm.fd(file.fileno(), "r", compressor))
            for entry in archive:
                filled = stat.S_ISREG(entry.mode) and archive.hascontent()
                yield entry, archive.read if filled else _nothing


def read_package(path: Path) -> Package:
    """Read the header of the RPM at ``path``."""
    with path.open("rb") as file:
        return Package(_transaction().hdrFromFdno(file.fileno()), path)


def read_headers(path: Path) -> list[Package]:
    """Parse the packages of a database from the output of ``rpmdb --exportdb``."""
    return [Package(header) for header in rpm.readHeaderListFromFile(str(path))]


def ordered(packages: Sequence[Package]) -> list[Package]:
    """Return packages in rpm's own order: required packages first, otherwise by name."""
    transaction = _transaction()
    by_nevra = {package.nevra: package for package in packages}
    for nevra in sorted(by_nevra):
        transaction.addInstall(by_nevra[nevra].header, nevra, "i")
    transaction.order()
    return [by_nevra[element.Key()] for element in transaction]


def _transaction() -> rpm.TransactionSet:
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES)
    return transaction


def _nothing(_: int) -> bytes:
    return b""
