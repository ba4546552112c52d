"""Test reading the kind of host, another Nix, and labels from the output of programs."""

import json

import pytest
from nix_aurora_host.gather.host import parse_contexts, parse_layered, parse_packages


def _status(**booted: object) -> str:
    """Return the relevant part of the output of rpm-ostree status --booted --json."""
    return json.dumps({"deployments": [{"booted": True, **booted}], "transaction": None})


@pytest.mark.parametrize(
    ("text", "layered"),
    [
        (_status(**{"requested-packages": ["nix-aurora"]}), True),
        (_status(**{"requested-local-packages": ["nix-aurora-2.34.8-1.x86_64"]}), True),
        (_status(**{"requested-packages": ["vim"], "requested-local-packages": []}), False),
        (_status(**{"requested-packages": None}), False),
        (json.dumps({"deployments": [{"requested-packages": ["nix-aurora"]}]}), False),
        ("", False),  # no rpm-ostree
        ("[]", False),
        ('{"deployments": [1]}', False),
    ],
)
def test_layered_package_differs_from_one_in_the_image(text: str, layered: bool) -> None:
    assert parse_layered(text) is layered


def test_fedoras_packages_are_found_in_rpms_output() -> None:
    text = "package nix is not installed\nnix-core\nnix-daemon\npackage nix-x is not installed\n"
    wanted = ("nix", "nix-core", "nix-daemon")
    assert parse_packages(text, wanted) == ("nix-core", "nix-daemon")


def test_contexts_are_matched_to_the_requested_paths() -> None:
    text = "/\tsystem_u:object_r:root_t:s0\n/nix\t<<none>>\nmatchpathcon: no policy\n/x\ty\n"
    assert parse_contexts(text, ["/", "/nix"]) == {
        "/": "system_u:object_r:root_t:s0",
        "/nix": "<<none>>",
    }
