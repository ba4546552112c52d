"""What rpm-ostree does to an RPM that is layered onto a host.

Each rule names its place in github.com/coreos/rpm-ostree, tag v2026.2, as ``file:line function``;
paths of Rust files are below ``rust/src``, of C++ files below ``src/libpriv``. Rules that only
matter with SELinux, with kernels or for overrides of the base are left out, and so are the
repositories: RPMs are local files.
"""
