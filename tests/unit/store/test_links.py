from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from nix_aurora.store.links import fault, resolve

FILES = {"p/file", "q"}
LINKS = {
    "p/there": "file",
    "p/dangling": "../r/none",
    "p/up": "..",
    "p/dot": "./../p/./file",
    "p/far": "/nix/store/p/there",
    "p/elsewhere": "/nix/store/r",
    "p/doubled": "/nix/store//p//file",
    "p/chain0": "file",
    **{f"p/chain{number}": f"chain{number - 1}" for number in range(1, 41)},
    "p/loop": "loop",
    "p/circle": "up/p/back",
    "p/back": "/nix/store/p/circle",
    "p/below": "file/x",
    "p/inside": "file/.",
    "p/beside": "file/../file",
    "p/absolute": "/nix/store/q/x",
    "p/through": "there/x",
    "p/long": "é" * 127 + "x",
    "p/longer": "é" * 128,
}
LOOP = "expected at most 40 links one after another, got a loop"
THROUGH = "expected a link that can be followed, got one through a file"


@pytest.mark.parametrize(
    "name",
    [
        *("there", "dangling", "up", "dot", "far", "elsewhere", "doubled"),
        *("chain0", "chain39", "long"),
    ],
)
def test_links_that_rpmbuild_can_describe_are_accepted(name: str) -> None:
    assert fault(f"p/{name}", LINKS, FILES) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chain40", LOOP),
        ("loop", LOOP),
        ("circle", LOOP),
        ("below", THROUGH),
        ("inside", THROUGH),
        ("beside", THROUGH),
        ("absolute", THROUGH),
        ("through", THROUGH),
        ("longer", "expected a link target's components of at most 255 bytes, got more"),
    ],
)
def test_links_that_rpmbuild_cannot_describe_are_refused(name: str, expected: str) -> None:
    assert fault(f"p/{name}", LINKS, FILES) == expected


def test_resolve_stays_in_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "a").mkdir(parents=True)
    (store / "a/file").touch()
    (store / "link").symlink_to("/nix/store/a/../a/./file")
    (store / "a/up").symlink_to("../a")
    (store / "out").symlink_to("../../etc")
    (store / "abs").symlink_to("/etc")
    assert resolve(store, "/nix/store/link") == store / "a/file"
    assert resolve(store, "/nix/store/a/up/up/file") == store / "a/file"
    with pytest.raises(VerificationError, match=r"out/passwd: .* got a link that leads out of it"):
        resolve(store, "/nix/store/out/passwd")
    with pytest.raises(VerificationError, match=r"abs/passwd: .* got a link to /etc"):
        resolve(store, "/nix/store/abs/passwd")
    with pytest.raises(VerificationError, match="link/x: expected a file, got nothing"):
        resolve(store, "/nix/store/link/x")
