"""Read the members of a compressed tar, which may be hostile, in one forward pass.

Format: POSIX ustar, pax and GNU tar as `tarfile` reads them. Unlike tarfile, this reader keeps
neither all members nor an unlimited header in memory, and it does not take a damaged header for the
end of the archive.
"""

import tarfile
from collections.abc import Iterator

from nix_aurora.closure.decompress import CHUNK, Stream
from nix_aurora.errors import VerificationError
from nix_aurora.text import LIMIT, printable

_MAX_HEADER = 64 << 10  # bytes of a pax or GNU long-name header; a path has 4 KiB at most
_MAX_PADDING = 1 << 20  # bytes of zeros after the last member; GNU tar writes at most 10 KiB
_BLOCK = 512


def fault(subject: str, expected: str, got: str) -> VerificationError:
    """Return the error for a part of the archive that is not as expected."""
    return VerificationError(
        f"cannot unpack the tarball: {printable(subject)}: "
        f"{expected}, got {printable(got, 2 * LIMIT)}"
    )


class Archive(Stream):
    """A tar inside a compressed file.

    It keeps the last header block, which shows where the tar ends.
    """

    _header = b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, or fewer only at the end.

        tarfile reads headers with this method.
        """
        if size is None or not 0 <= size <= _MAX_HEADER:
            raise fault(self._subject, f"expected headers below {_MAX_HEADER} bytes", f"{size}")
        self._header = super().read(size)
        return self._header

    def content(self, size: int) -> Iterator[bytes]:
        """Yield the ``size`` bytes of the current member in pieces of at most 1 MiB."""
        while size:
            data = self.take(min(size, CHUNK))
            if not data:
                raise fault(self._subject, f"expected {size} more bytes of a member", "the end")
            size -= len(data)
            yield data

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Yield each member; check at the end that only padding follows the last one."""
        subject = self._subject
        try:
            tar = tarfile.TarFile(
                fileobj=self, mode="r", encoding="utf-8", errors="surrogateescape"
            )
            member = tar.next()
            while member is not None:
                yield member
                self.seek(tar.offset)
                # TarFile.next() is not used: it keeps every member in memory, and it takes a bad
                # header for the end of the archive.
                member = tarfile.TarInfo.fromtarfile(tar)
        except tarfile.TarError as error:
            # tarfile raises the same error at the regular end, which is a block of zeros.
            if self._header != bytes(_BLOCK):
                got = str(error) if self._header else "the end of a truncated archive"
                raise fault(subject, "expected a tar header", got) from error
        except (VerificationError, OSError):
            raise
        except RecursionError as error:
            raise fault(subject, "expected a member", "headers of headers without end") from error
        except Exception as error:  # tarfile lets the exceptions of its parser through
            raise fault(
                subject, "expected a tar header", f"{type(error).__name__}: {error}"
            ) from error
        self._check_end()

    def _check_end(self) -> None:
        padding = 0
        while data := self.read(_BLOCK):
            padding += len(data)
            if data.strip(b"\0") or padding > _MAX_PADDING:
                raise fault(self._subject, "expected nothing after the archive", "trailing garbage")
        if padding < _BLOCK:
            raise fault(
                self._subject, "expected two blocks of zeros at the end", "a truncated archive"
            )
