"""Test systemd's extensions of /usr and /etc on a host that has moved."""

from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import NixTreeMaker
from tests.nix_root import avoid_overlay
from tests.whole import add_program, check_works

_PENDING = "/etc/nix-aurora.root-pending"
_EXTENSIONS = """
for name in one two; do
    usr=/var/lib/$name/usr
    mkdir -p $usr/lib/extension-release.d $usr/bin
    echo ID=_any >$usr/lib/extension-release.d/extension-release.$name
    printf '#!/bin/sh\\necho from %s\\n' $name >$usr/bin/$name
    chmod +x $usr/bin/$name
done
etc=/var/lib/confexts/site/etc
mkdir -p $etc/extension-release.d /var/lib/extensions
mv /var/lib/one /var/lib/extensions/
echo ID=_any >$etc/extension-release.d/extension-release.site
echo merged >$etc/site.conf
systemctl enable systemd-sysext.service systemd-confext.service
"""
# The initrd of systemd 262 merges extensions before this host's own units start.
_MERGE_EARLY = """
cat >/etc/systemd/system/merge.service <<'END'
[Unit]
DefaultDependencies=no
Before=nix-root.service
[Service]
Type=oneshot
ExecStart=/usr/bin/systemd-sysext merge
[Install]
WantedBy=sysinit.target
END
systemctl enable merge.service
"""
_ADD = "mv /var/lib/two /var/lib/extensions/; systemd-sysext refresh; one; two"
_REMOVE = "systemd-sysext unmerge; [ ! -e /usr/bin/one ]; mv /var/lib/extensions/two /var/lib/"


@pytest.fixture(scope="module", params=["overlay", "binds"])
def host(
    request: pytest.FixtureRequest,
    make_nix_tree: NixTreeMaker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """Yield a host whose boots move it onto a root of this kind, with extensions."""
    place = tmp_path_factory.mktemp(request.param) / "host"
    with Host(make_nix_tree(nix_dir=False), place) as host:
        if request.param == "binds":
            avoid_overlay(host)
        host.run(_EXTENSIONS)
        add_program(host)
        yield host


def _check(host: Host) -> None:
    """Fail unless the boot has moved and merged, and extensions can be removed and merged again."""
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    assert host.run("one; cat /etc/site.conf").stdout == "from one\nmerged\n"
    check_works(host)
    assert host.run(_ADD).stdout == "from one\nfrom two\n"
    host.run(_REMOVE)
    check_works(host)
    host.run("systemd-sysext merge; one")


def test_extensions_merge_after_the_move(host: Host) -> None:
    """The merged /etc is read-only, but the boot is still recorded as good."""
    host.reboot()
    _check(host)
    host.run(f"[ ! -w /etc ]; systemd-confext unmerge; [ ! -e {_PENDING} ]")


def test_extension_merged_before_the_move_can_be_removed(host: Host) -> None:
    """Below the extension is the host's own /usr, not the one in the new root."""
    host.run(f"systemd-confext unmerge; {_MERGE_EARLY}")
    host.reboot()
    _check(host)
