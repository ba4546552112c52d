"""What nix-aurora recover reads from the disk, and what it makes of it."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import paths, recover
from nix_aurora_host.gather.roots import gather_roots
from nix_aurora_host.references import UnfitError, scan, store_names

A, B, C = (f"{letter * 32}-{name}" for letter, name in (("a", "one"), ("b", "two"), ("c", "x.drv")))


class _Store:
    """A store directory, in which paths can be made as Nix leaves them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def add(self, name: str, content: bytes = b"") -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return self.finish(path)

    def link(self, name: str, target: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        self.finish(path)

    def finish(self, path: Path) -> Path:
        """Give a path, and the directories that it is in, what Nix gives them."""
        if not path.is_symlink():
            path.chmod(0o444)
        os.utime(path, (1, 1), follow_symlinks=False)
        for parent in path.parents:
            if parent == self.directory:
                break
            os.utime(parent, (1, 1))
            parent.chmod(0o555)
        return path

    def scan(self, name: str) -> set[str]:
        return scan(str(self.directory), name, store_names(str(self.directory)))[0]


@pytest.fixture
def store(tmp_path: Path) -> _Store:
    """Give an empty store."""
    return _Store(tmp_path / "store")


def test_only_store_paths_are_names(store: _Store) -> None:
    for name in (A, f"{A}.lock", f"{B}.lock", ".links", "x", f"{'e' * 32}-no", f"{'a' * 31}-short"):
        store.add(name)
    assert store_names(str(store.directory)) == {b"a" * 32: A, b"b" * 32: f"{B}.lock"}


@pytest.mark.parametrize(
    "content",
    [
        f"see /nix/store/{B}/bin".encode(),
        b"b" * 32,
        b"a0c" + b"b" * 32 + b"d" * 40,  # anywhere in a run of such characters
        b"\0" * ((1 << 20) - 7) + b"b" * 32,  # across what is read at once
        b"\0" * ((1 << 20) - 32) + b"b" * 32 + b"\0",
    ],
    ids=["path", "alone", "inside", "across", "at the end"],
)
def test_a_reference_is_found_in_a_file(store: _Store, content: bytes) -> None:
    store.add(B)
    store.add(f"{A}/share/file", content)
    assert store.scan(A) == {B}


def test_references_are_found_in_links_and_in_names(store: _Store) -> None:
    store.add(B)
    store.add(C, b'Derive([],[],[],"x","",[],[])')
    store.link(f"{A}/bin", f"/nix/store/{B}/bin")
    store.add(f"{A}/known-{'c' * 32}")
    assert store.scan(A) == {B, C}


def test_what_is_not_there_is_no_reference(store: _Store) -> None:
    store.add(A, b"b" * 32 + b"." + b"a" * 31)
    assert store.scan(A) == set()


def test_a_derivation_refers_to_its_inputs_alone(store: _Store) -> None:
    """Its outputs, of which the text is full, refer to others in their turn."""
    inner = f"{'d' * 32}-inner.drv"
    text = (
        f'Derive([("out","/nix/store/{A}","","")],[("/nix/store/{inner}",["dev","out"])],'
        f'["/nix/store/{B}"],"x86_64-linux","/bin/sh",["{A}"],[("out","/nix/store/{A}")])'
    )
    for name in (A, B):
        store.add(name)
    store.add(C, text.encode())
    with pytest.raises(UnfitError, match=r"needs d{32}-inner\.drv, which is not there"):
        store.scan(C)
    store.add(inner, b'Derive([],[],[],"x86_64-linux","/bin/sh",[],[])')
    assert store.scan(C) == {B, inner}
    assert store.scan(inner) == set()


@pytest.mark.parametrize("what", ["mode", "mtime", "kind", "inside", "derivation"])
def test_what_nix_did_not_leave_so_is_unfit(store: _Store, what: str) -> None:
    path = store.add(f"{A}/dir/file")
    if what == "mode":
        path.chmod(0o644)
    elif what == "mtime":
        os.utime(path, (2, 2))
    elif what == "inside":
        path.parent.chmod(0o755)
    elif what == "kind":
        path.parent.chmod(0o755)
        os.mkfifo(path.parent / "fifo")
        store.finish(path.parent / "fifo")
    name = store.add(C, b"no derivation").name if what == "derivation" else A
    with pytest.raises(UnfitError):
        store.scan(name)


# --- the plan


def _plan(roots: list[str], graph: dict[str, set[str] | str], valid: set[str]) -> recover.Plan:
    def look(name: str) -> tuple[set[str], int]:
        refers = graph[name]
        if isinstance(refers, str):
            raise UnfitError(refers)
        return refers, 10

    return recover.make_plan(roots, valid, look)


def test_the_plan_follows_roots_as_far_as_what_is_valid() -> None:
    graph: dict[str, set[str] | str] = {
        "profile": {"tool", "profile"},
        "tool": {"lib", "valid"},
        "lib": set(),
        "garbage": {"lib"},
    }
    plan = _plan(["profile", "valid"], graph, {"valid"})
    assert list(plan.references) == ["lib", "tool", "profile"]
    assert plan.references["tool"] == {"lib", "valid"}
    assert (plan.unfit, plan.size) == ({}, 30)


def test_what_refers_to_the_unfit_is_left_out_with_it() -> None:
    graph: dict[str, set[str] | str] = {
        "top": {"middle", "well"},
        "middle": {"half"},
        "half": "broken",
        "well": set(),
    }
    plan = _plan(["top"], graph, set())
    assert list(plan.references) == ["well"]
    assert plan.unfit == {"half": "broken", "middle": "refers to half", "top": "refers to middle"}


def test_a_circle_is_left_out() -> None:
    """Nix would refuse the registration as a whole."""
    graph: dict[str, set[str] | str] = {"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}
    plan = _plan(["c", "d"], graph, set())
    assert list(plan.references) == ["d"]
    assert set(plan.unfit) == {"a", "b", "c"}


def test_the_registration_is_in_nix_s_format() -> None:
    plan = recover.Plan({A: frozenset(), B: frozenset({A, B})}, {}, 0)
    assert recover.registration(plan).splitlines() == [
        *(f"/nix/store/{A}", "", "0"),
        *(f"/nix/store/{B}", "", "2", f"/nix/store/{A}", f"/nix/store/{B}"),
    ]
    assert recover.describe(plan, registered=True)["paths"] == [
        f"/nix/store/{A}",
        f"/nix/store/{B}",
    ]


# --- the roots


def test_roots_are_found_as_the_collector_finds_them(
    tmp_path: Path, store: _Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "var/nix"
    for name, value in (("SHOWN", tmp_path), ("STORE", store.directory), ("STATE", state)):
        monkeypatch.setattr(paths, name, str(value))
    for name in (A, B, C):
        store.add(name)
    (state / "gcroots/auto").mkdir(parents=True)
    (state / "profiles/per-user/u").mkdir(parents=True)
    links = {
        "gcroots/own": f"/nix/store/{A}/bin",
        "gcroots/auto/1": f"{tmp_path}/result",
        "gcroots/auto/2": "/nowhere",
        "gcroots/auto/3": f"{tmp_path}/plain",
        "gcroots/gone": f"/nix/store/{'d' * 32}-gone",
        "gcroots/profiles": "/nix/var/nix/profiles",
        "profiles/per-user/u/p-1-link": f"/nix/store/{C}",
        "profiles/per-user/u/p": "p-1-link",
    }
    for name, target in links.items():
        (state / name).symlink_to(target)
    (tmp_path / "result").symlink_to(f"/nix/store/{B}")
    (tmp_path / "plain").touch()
    assert gather_roots() == {
        f"{state}/gcroots/own": A,
        f"{state}/gcroots/auto/1": B,
        f"{state}/profiles/per-user/u/p-1-link": C,
        f"{state}/profiles/per-user/u/p": C,
    }
