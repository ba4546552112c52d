"""Test reading build users from sysusers.d and the group, and finding broken profiles."""

from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.gather.users import match_users, why_lost
from nix_aurora_host.person import LostProfile


def test_member_without_an_account_is_absent() -> None:
    users = match_users(("a", "b", "c"), 987, ["a", "b"], {"a": 5}.get)
    assert (users.group, users.members, users.ids) == (987, ("a", "b"), {"a": 5})
    assert users.absent == ("b", "c")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home beside a store."""
    monkeypatch.setattr(paths, "STORE", f"{tmp_path}/store")
    monkeypatch.setattr(paths, "SHOWN", f"{tmp_path}")
    (tmp_path / "store" / "x-program").mkdir(parents=True)
    (tmp_path / "home" / "state").mkdir(parents=True)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        ({}, None),
        ({".nix-profile": "state/profile"}, None),  # an empty profile
        (
            {
                ".nix-profile": "state/profile",
                "state/profile": "p-1-link",
                "state/p-1-link": "/nix/store/x-program",
            },
            None,
        ),
        (
            {".nix-profile": "state/profile", "state/profile": "/nix/store/y-gone"},
            LostProfile.CONTENT,
        ),
        ({".nix-profile": "/nix/var/nix/profiles/per-user/u/profile"}, LostProfile.FOLDER),
        ({".nix-profile": ".nix-profile"}, LostProfile.FOLDER),
    ],
)
def test_broken_profile_is_found(home: Path, links: dict[str, str], reason: str | None) -> None:
    for name, target in links.items():
        (home / name).symlink_to(target)
    assert why_lost(f"{home}/.nix-profile") == reason
