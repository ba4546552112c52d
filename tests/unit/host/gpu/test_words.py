"""Test the text about the state of the drivers: each fault is named once, causes first."""

import pytest
from nix_aurora_host import paths
from nix_aurora_host.gpu.facts import Gpu, Nvidia, Other
from nix_aurora_host.gpu.words import Fault, explain, find_faults, find_others
from nix_aurora_host.report.gpu import describe, render

_A, _B = f"/nix/store/{'a' * 32}-mesa-25.3", f"/nix/store/{'b' * 32}-mesa-25.2"
WELL = Gpu("nixpkgs#mesa", _A, link=_A, valid=True, kept=(_A,))
_OTHER = Other("/etc/tmpfiles.d/x.conf", "a file of tmpfiles.d")


@pytest.mark.parametrize(
    ("gpu", "faults"),
    [
        (Gpu(), []),
        (WELL, []),
        (Gpu(others=(_OTHER,)), []),
        (Gpu(link=_B), []),
        (Gpu(occupied=True), []),
        (Gpu(link=_B, there=False), [Fault.FOREIGN_LOST]),
        (Gpu(damaged=True), [Fault.DAMAGED]),
        (Gpu("x", _A, link=_A, kept=(_A,), there=False), [Fault.LOST]),
        (Gpu("x", _A, link=_A, kept=(_A,), valid=False), [Fault.LOST]),
        (Gpu("x", _A, link=_A, kept=(_B,)), [Fault.UNROOTED]),
        (Gpu("x", _A, kept=(_A,)), [Fault.UNLINKED]),
        (Gpu("x", _A, link=_B, kept=(_A, _B)), [Fault.UNLINKED]),
        (Gpu("x", _A, link=_B, kept=(_A,)), [Fault.CONFLICT]),
        (Gpu("x", _A, occupied=True, kept=(_A,)), [Fault.CONFLICT]),
        (Gpu("x", _A, link=_A, kept=(_A,), others=(_OTHER,)), [Fault.CONFLICT]),
        (
            Gpu("x", _A, link=_A, kept=(_A,), nvidia=Nvidia("570.1.1"), provides="565.1.1"),
            [Fault.NVIDIA],
        ),
        (Gpu("x", _A, link=_A, kept=(_A,), nvidia=Nvidia("570.1.1")), []),
    ],
)
def test_each_fault_is_found(gpu: Gpu, faults: list[Fault]) -> None:
    found = list(find_faults(gpu))
    assert [fault for fault, _ in found] == faults
    for line in (*render(gpu).splitlines(), *explain(gpu)):
        assert line.isprintable()
        assert not line.endswith((".", "!"))
    assert describe(gpu)["faults"] == [message for _, message in found]


def test_others_that_set_the_link_are_named() -> None:
    assert find_others(Gpu(others=(_OTHER,), link="/x\x1b[2J")) == [
        "/etc/tmpfiles.d/x.conf (a file of tmpfiles.d)",
        f"{paths.GPU_LINK} (it leads to /x\\x1b[2J)",
    ]
    assert find_others(Gpu(occupied=True)) == [f"{paths.GPU_LINK} (it is no link)"]
    assert "which nix-aurora leaves alone" in explain(Gpu(others=(_OTHER,)))[0]


def test_enabled_drivers_are_described() -> None:
    assert explain(WELL) == ["mesa-25.3, of nixpkgs#mesa"]
    assert explain(Gpu()) == ["no drivers for programs of nixpkgs: sudo nix-aurora gpu enable"]
    assert (
        "as the kernel module"
        in explain(Gpu("x", _A, link=_A, kept=(_A,), nvidia=Nvidia("570.1.1"), provides="570.1.1"))[
            1
        ]
    )
    assert f"store path  {_A}: there\nroot        kept\n" in render(WELL)


def test_root_that_a_rollback_left_is_named() -> None:
    """The older deployment's /etc lacks the line, but the root in /var remains."""
    lines = explain(Gpu(kept=(_A,)))
    assert lines[1].startswith("mesa-25.3: kept in the store, but not linked in this deployment")


def test_unknown_values_are_null_in_json() -> None:
    shown = describe(Gpu("nixpkgs#mesa", _A, link=_A, kept=(_A,)))
    assert (shown["linked"], shown["rooted"], shown["valid"]) == (True, True, None)
    shown = describe(Gpu())
    assert (shown["enabled"], shown["drivers"], shown["valid"]) == (False, None, None)
