"""Read an RPM's header and payload with rpm's bindings, which have no types."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import rpm


def read_header(file: BinaryIO) -> Any:  # noqa: ANN401 - rpm.hdr
    """Return the header of the package in ``file``; raise rpm.error if it is missing or damaged.

    Its digests are checked. Signatures are not: this machine's rpm need not have the key, and there
    may be no signature yet.
    """
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES)
    return transaction.hdrFromFdno(file.fileno())


@contextmanager
def open_payload(file: BinaryIO, header: rpm.hdr) -> Iterator[rpm.archive]:
    """Yield the archive after ``header``, which was just read from ``file``."""
    # The header of an uncompressed payload names no compressor.
    compressor = header[rpm.RPMTAG_PAYLOADCOMPRESSOR] or "ufdio"
    descriptor = rpm.fd(file.fileno(), "r", compressor)  # must live as long as the archive
    yield rpm.files(header).archive(descriptor)
