"""A commit of an assembled tree, and what a deployment has of it."""

from tests.harness.rpm_ostree.container import WORK, Root

DEPLOYMENT = f"{WORK}/deployment"
_REPO = f"{WORK}/repo"
# core.rs:110 TempEtcGuard::undo; rpmostree-core.cxx:4707 rpmostree_context_commit, without what
# needs a kernel; composepost.rs:430 postprocess_cleanup_rpmdb_impl. Then as ostree deploys it. The
# devices are those of Debian's root.
_COMMIT = f"""
mkdir {WORK}/tree
mount --bind / {WORK}/tree
cd {WORK}/tree
find dev -mindepth 1 -delete
mv etc usr/etc
rm -f usr/share/rpm/.rpm.lock
ostree init --repo={_REPO} --mode=bare
ostree commit --repo={_REPO} --fsync=false --branch=assembled --tree=dir=.
ostree fsck --repo={_REPO} --quiet
ostree checkout --repo={_REPO} --require-hardlinks assembled {DEPLOYMENT}
cp -a {DEPLOYMENT}/usr/etc {DEPLOYMENT}/etc
"""


def commit(root: Root) -> str:
    """Commit the tree to a repository of its own; give its digest.

    ``DEPLOYMENT`` in the scratch root then is what a host would boot. This is the end of the
    tree: its /etc is at /usr/etc.
    """
    return root.scratch.run(_COMMIT).stdout.splitlines()[0]
