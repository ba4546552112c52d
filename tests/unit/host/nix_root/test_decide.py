"""Test nix-root's decision to move the system."""

import pytest
from nix_aurora_host.mounts import Mount
from nix_aurora_host.nix_root import unmoved
from nix_aurora_host.nix_root.decide import Stay, decide, exhausted, is_early_boot, keeps_notes
from nix_aurora_host.nix_root.facts import Unmoved

_ROOT = Mount("/", "ro", "overlay", "composefs", "ro")
_ETC = Mount("/etc", "rw", "ext4", "/dev/vda3", "rw")


def _decide(
    *,
    in_time: bool = True,
    mounts: tuple[Mount, ...] = (_ROOT, _ETC),
    etc_is_writable: bool = True,
    failed_boots: int = 0,
    mounter: str | None = None,
) -> Stay | None:
    return decide(
        in_time=in_time,
        mounts=list(mounts),
        etc_is_writable=etc_is_writable,
        failed_boots=failed_boots,
        mounter=mounter,
    )


def _word(stay: Stay | None) -> str:
    assert stay is not None
    assert stay.reason
    assert stay.hint
    return stay.word


def test_stock_host_is_moved_in_an_early_boot() -> None:
    assert _decide() is None


def test_host_is_moved_after_one_failed_boot() -> None:
    assert _decide(failed_boots=1) is None


def test_running_system_is_not_moved() -> None:
    assert _word(_decide(in_time=False)) == unmoved.LATE


def test_host_where_another_nix_mounts_its_store_is_not_moved() -> None:
    """The other Nix's unit would mount its store, which may be empty, on the new /nix."""
    stay = _decide(mounter="/etc/systemd/system/nix.mount")
    assert _word(stay) == unmoved.ANOTHER
    assert stay is not None
    assert stay.reason.startswith("/etc/systemd/system/nix.mount would mount")
    assert stay.hint == "sudo nix-aurora set-aside, and reboot"


def test_host_without_a_persistent_etc_is_not_moved() -> None:
    assert _word(_decide(etc_is_writable=False)) == unmoved.ETC


def test_host_is_not_moved_after_two_failed_boots() -> None:
    stay = _decide(failed_boots=2)
    assert _word(stay) == unmoved.FAILED_BOOTS
    assert stay is not None
    assert stay.reason == "the last 2 boots with /nix failed"


def test_host_with_two_mounts_on_the_root_directory_is_not_moved() -> None:
    assert _word(_decide(mounts=(_ROOT, _ROOT, _ETC))) == unmoved.STACKED


def test_hint_names_the_retry_if_no_kind_of_root_is_left() -> None:
    assert _word(exhausted()) == unmoved.EXHAUSTED
    assert "mount enable --again" in exhausted().hint


def test_command_knows_every_reason() -> None:
    words = {value for name, value in vars(unmoved).items() if name.isupper()}
    assert words == set(Unmoved)


@pytest.mark.parametrize(
    ("kind", "options", "kept"),
    [
        ("ext4", "rw", True),
        ("overlay", "rw,lowerdir=/a,upperdir=/var/b,workdir=/var/c", True),
        ("overlay", "rw,lowerdir=/a,upperdir=/run/b,workdir=/run/c", False),
        ("tmpfs", "rw", False),
        ("ramfs", "rw", False),
    ],
)
def test_note_in_etc_persists_if_its_file_system_does(kind: str, options: str, kept: bool) -> None:
    etc = Mount("/etc", "rw", kind, "etc", options)
    assert keeps_notes(etc, is_writable=True) is kept


def test_note_persists_in_an_etc_that_is_not_a_mount() -> None:
    assert keeps_notes(None, is_writable=True)
    assert not keeps_notes(None, is_writable=False)


@pytest.mark.parametrize(
    ("sysinit", "multi_user", "early"),
    [
        ({"ActiveState": "inactive"}, {"ActiveState": "inactive", "Job": "3"}, True),
        ({"ActiveState": "inactive", "Job": "2"}, {"ActiveState": "inactive", "Job": "3"}, True),
        ({"ActiveState": "active"}, {"ActiveState": "active"}, False),
        ({"ActiveState": "active"}, {"ActiveState": "inactive", "Job": "3"}, False),
        ({"ActiveState": "inactive"}, {"ActiveState": "inactive"}, False),  # in rescue.target
        ({"ActiveState": "inactive"}, {"ActiveState": "inactive", "Job": "0"}, False),
    ],
)
def test_boot_is_early_before_sysinit_on_the_way_to_multi_user(
    sysinit: dict[str, str], multi_user: dict[str, str], early: bool
) -> None:
    assert is_early_boot([sysinit, multi_user]) is early
