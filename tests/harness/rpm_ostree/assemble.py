"""Assemble a tree from a base, imported packages, their scriptlets and the rpm database."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import rpm

from nix_aurora.errors import ToolError
from tests.harness.rpm_ostree.container import WORK, Mutability, Root
from tests.harness.rpm_ostree.importer import import_package
from tests.harness.rpm_ostree.package import Package, ordered, read_headers
from tests.harness.rpm_ostree.scripts import STATE, Ran, run_file_triggers, run_scriptlet

_INSIDE = Path(__file__).with_name("inside.py")
# Scriptlets see this as systemctl: systemctl-wrapper.sh.
_SYSTEMCTL = """\
#!/usr/bin/bash
for word in "$@"; do
    if [[ "$word" == @(preset|--root|--root=*) ]]; then
        exec /usr/bin/systemctl.rpmostreesave "$@"
    fi
done
echo "rpm-ostree-systemctl: Ignored non-preset command: $*"
"""
# core.rs:204 FilesystemScriptPrep; its wrappers of useradd and the like change nothing.
# passwd.rs:48 prepare_rpm_layering_impl, :659 prepare_pwgrp: if the tree keeps its users in
# /usr/lib, they are in /etc while scriptlets run. rpmostree-core.cxx:4462 and :4505; bwrap.rs:392.
_PREPARE = f"""
for path in usr/sbin/sss_cache usr/bin/systemctl; do
    [ ! -e "/$path" ] || mv "/$path" "/$path.rpmostreesave"
done
install -m 0755 {WORK}/systemctl /usr/bin/systemctl
rm -f /etc/.pwd.lock /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
if [ -e /usr/lib/passwd ]; then
    for name in passwd group shadow gshadow subuid subgid; do
        [ ! -e "/etc/$name" ] || mv "/etc/$name" "/etc/$name.rpmostreesave"
    done
    cp /usr/lib/passwd /usr/lib/group /etc/
fi
mkdir -p /var/tmp /var/lib/rpm-state
mkdir -m 0700 {STATE}
for name in alternatives vagrant; do
    [ -L "/var/lib/$name" ] || ln -s "../../usr/lib/$name" "/var/lib/$name"
done
"""
# passwd.rs:701 complete_rpm_layering_impl; rpmostree-core.cxx:4644, :4663.
_COMPLETE = f"""
if [ -e /usr/lib/passwd ]; then
    mv /etc/passwd /etc/group /usr/lib/
    for name in passwd group shadow gshadow subuid subgid; do
        [ ! -e "/etc/$name.rpmostreesave" ] || mv "/etc/$name.rpmostreesave" "/etc/$name"
    done
fi
for path in usr/sbin/sss_cache usr/bin/systemctl; do
    [ ! -e "/$path.rpmostreesave" ] || mv "/$path.rpmostreesave" "/$path"
done
rm -rf /var/tmp /var/lib/rpm-state {STATE}
"""
_SYSUSERS = "rpm --eval=%{?__systemd_sysusers}"
_RPM = "rpm --install --nosignature --nodigest --ignoresize --replacefiles --oldpackage"


def layer(root: Root, rpms: Sequence[Path], *, sysusers: bool = True) -> list[Ran]:
    """Add RPMs to a tree, and return the scriptlets that ran, in their order.

    /etc is at its place in the tree, before and after. ``sysusers`` is whether the tree's rpm
    creates users itself. Raises ToolError for everything that ends ``rpm-ostree install``; the tree
    is then useless. rpmostree-core.cxx:4131 rpmostree_context_assemble.
    """
    imported = {
        package.nevra: (package, number)
        for number, path in enumerate(rpms)
        for package in [import_package(path, root.work / f"package-{number}")]
    }
    packages = ordered([package for package, _ in imported.values()])
    _solve(root, packages)
    shutil.copyfile(_INSIDE, root.work / "inside.py")
    for package in packages:
        _inside(
            root, f"Checkout {package.nevra}", "checkout", f"package-{imported[package.nevra][1]}"
        )
    (root.work / "systemctl").write_text(_SYSTEMCTL)
    root.scratch.run(_PREPARE)
    if sysusers:
        run_sysusers(root)
    ran = [run_scriptlet(root, package, "%prein") for package in packages]
    for package in packages:
        _apply_owners(root, package)
        ran.append(run_scriptlet(root, package, "%post"))
    ran += [run_scriptlet(root, package, "%posttrans") for package in packages]
    for package in [*_base_packages(root), *packages]:
        ran += run_file_triggers(root, package)
    # rpmostree-scripts.cxx:988 rpmostree_deployment_sanitycheck_true.
    root.run("/usr/bin/true", mutability=Mutability.IMMUTABLE)
    root.scratch.run(_COMPLETE)
    _inside(root, "Deduplicate tmpfiles entries", "tmpfiles")
    _write_database(root)
    return [each for each in ran if each]


def run_sysusers(root: Root) -> None:
    """Create the users of all sysusers.d files if rpm's macros say so: core.rs:155.

    This happens before the first scriptlet.
    """
    command = root.run(_SYSUSERS, mutability=Mutability.IMMUTABLE).strip()
    if command:
        root.run(command, mutability=Mutability.FREE, write_var=True)


def _solve(root: Root, packages: Sequence[Package]) -> None:
    """Check relations as libdnf's solver does; overrides of the base are not implemented."""
    for package in packages:
        if package.path is None:
            raise ValueError(f"{package.name} has no file")
        shutil.copyfile(package.path, root.work / f"{package.nevra}.rpm")
        if root.scratch.run(f"rpm --query {package.name}", check=False).returncode == 0:
            raise ToolError(f"layering: {package.name}: is already installed in the base")
    root.scratch.run(f"{_RPM} --test {WORK}/*.rpm")


def _apply_owners(root: Root, package: Package) -> None:
    facts = [
        (
            file.name,
            file.user,
            file.group,
            file.mode,
            file.caps,
            bool(file.fflags & rpm.RPMFILE_GHOST),
        )
        for file in package.files
    ]
    (root.work / "owners.json").write_text(json.dumps(facts))
    _inside(root, f"While applying overrides for pkg {package.name}", "owners", "owners.json")


def _base_packages(root: Root) -> list[Package]:
    root.scratch.run(f"rpmdb --exportdb >{WORK}/base")
    return read_headers(root.work / "base")


def _inside(root: Root, what: str, action: str, *names: str) -> None:
    words = " ".join(f"{WORK}/{name}" for name in names)
    done = root.scratch.run(f"python3 -I {WORK}/inside.py {action} {words}", check=False)
    if done.returncode != 0:
        raise ToolError(f"{what}: {done.stderr.strip()}")


def _write_database(root: Root) -> None:
    """Add the packages to the tree's database: rpmostree-core.cxx:3975 write_rpmdb."""
    define = "--define '_pkgverify_level none'"
    root.scratch.run(f"{_RPM} --justdb --nodeps --noscripts --notriggers {define} {WORK}/*.rpm")
