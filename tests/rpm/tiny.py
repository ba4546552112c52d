"""Build tiny RPMs with rpmbuild, and layer them onto a tree like rpm-ostree."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nix_aurora.files import new_directory
from nix_aurora.run import run
from tests.harness.rpm_ostree.assemble import layer
from tests.harness.rpm_ostree.container import WORK, Root
from tests.harness.rpm_ostree.scripts import Ran
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree, atomic_tree

_SPEC = """\
%global __os_install_post %{{nil}}
Name: {name}
Version: {version}
Release: 1
Summary: A package that breaks or shows a rule
License: MIT
BuildArch: noarch
AutoReqProv: no
{tags}
%description
%install
{install}
{scriptlets}
%files
%defattr(-,root,root)
{files}
"""
# This composes a tree as rpm-ostree does for many images: passwd.rs:119 migrate_passwd_except_root,
# :164 migrate_group_except_root, composepost.rs:888.
ALTFILES = """
for name in passwd group; do
    grep -v ^root: /etc/$name >/usr/lib/$name
    sed -i '/^root:/!d' /etc/$name
    sed -i "s/^$name: *files/& altfiles/" /etc/nsswitch.conf
done
"""


def tiny_rpm(
    directory: Path,
    *,
    name: str = "tiny",
    version: int = 1,
    content: Mapping[str, str] | None = None,
    install: str = "",
    files: str = "",
    scriptlets: str = "",
    tags: str = "",
) -> Path:
    """Build a noarch RPM in ``directory``, and return its path.

    ``content`` maps the paths of files to their text; the rest are parts of a spec.
    """
    commands = []
    for path, text in (content or {}).items():
        target = f"%{{buildroot}}{shlex.quote(path)}"
        commands.append(f"install -D -m 0644 /dev/null {target}")
        commands.append(f"printf %%s {shlex.quote(text)} >{target}")
    spec_text = _SPEC.format(
        name=name,
        version=version,
        tags=tags,
        install="\n".join((*commands, install)),
        scriptlets=scriptlets,
        files="\n".join((*(f'"{path}"' for path in content or {}), files)),
    )
    final = directory / f"{name}-{version}-1.noarch.rpm"
    with new_directory(directory / f"{name}.build") as top:
        spec = top / f"{name}.spec"
        spec.write_text(spec_text, encoding="utf-8")
        output = ("--define", f"_topdir {top}", "--define", f"_rpmdir {top}")
        run(["rpmbuild", "-bb", "--quiet", *output, spec])
        (top / "noarch" / final.name).replace(final)
    return final


@contextmanager
def base(tree: Tree | None = None) -> Iterator[Root]:
    """Yield a tree, by default a stock host's, to assemble one in; it is discarded at the end."""
    with (
        TemporaryDirectory(prefix="rpm-ostree-") as work,
        Scratch((tree or atomic_tree()).layers, binds={Path(work): WORK}) as scratch,
    ):
        yield Root(scratch, Path(work))


def outputs(ran: Sequence[Ran]) -> dict[str, str]:
    """Return the output of scriptlets by name."""
    return {each.name: each.output for each in ran}


def layered(root: Root, *rpms: Path, sysusers: bool = True) -> dict[str, str]:
    """Layer RPMs, and return the output of their scriptlets by name."""
    return outputs(layer(root, rpms, sysusers=sysusers))
