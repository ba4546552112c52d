"""The packages on their way to hosts: release files, a dnf repository, COPR.

In: an SRPM and RPMs; each is verified again before it leaves.
Out: a directory to upload, a directory to serve, or builds at COPR.
"""
