"""Publish the packages: release files, an OCI image, a dnf repository, COPR.

In: an SRPM and RPMs; packages are verified again before they are signed or uploaded.
Out: a directory to upload, an image to push, a directory to serve, or builds at COPR.
"""
