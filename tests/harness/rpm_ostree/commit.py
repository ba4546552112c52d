"""Commit an assembled tree, and deploy the commit."""

from tests.harness.rpm_ostree.container import WORK, Root

DEPLOYMENT = f"{WORK}/deployment"
_REPO = f"{WORK}/repo"
# core.rs:110 TempEtcGuard::undo; rpmostree-core.cxx:4707 rpmostree_context_commit, without the
# parts that need a kernel; composepost.rs:430 postprocess_cleanup_rpmdb_impl. Then the commit is
# deployed like ostree does it. The devices are those of Debian's root.
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
    """Commit the tree to a separate repository; return its digest.

    Afterwards ``DEPLOYMENT`` in the scratch root is what a host would boot. The tree must not be
    used any more: its /etc is at /usr/etc.
    """
    return root.scratch.run(_COMMIT).stdout.splitlines()[0]
