"""Test faults that need no package; the rpm tier tests the policy's rules on real ones."""

from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from nix_aurora.package.verify import verify


@pytest.mark.parametrize("content", [b"", b"text", b"\xed\xab\xee\xdb" + bytes(92), bytes(4096)])
def test_file_that_is_not_a_package_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.rpm"
    path.write_bytes(content)
    with pytest.raises(
        VerificationError,
        match=r"^cannot verify x\.rpm: "
        "expected a readable RPM, got",
    ):
        verify(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="No such file") as caught:
        verify(tmp_path / "x.rpm")
    assert caught.value.exit_code == 5


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="Is a directory"):
        verify(tmp_path)
