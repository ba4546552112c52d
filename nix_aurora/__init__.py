"""nix-aurora: from a pinned Determinate Nix release to RPMs for Fedora Atomic hosts.

The modules, in the order in which a release passes through them::

    pins -> fetch -> source (installer) -> unpack -> closure (reginfo, nar, hashes)
         -> stage -> description (manifest, sbom, licences) -> render -> rpmbuild
         -> verify (package, proof)
"""
