"""The packages on their way to hosts: release files, an OCI image, a dnf repository, COPR.

In: an SRPM and RPMs; what is signed or uploaded is verified again.
Out: a directory to upload, an image to push, a directory to serve, or builds at COPR.
"""
