"""Graphics drivers for programs of nixpkgs, which look for them in /run/opengl-driver.

In: an installable, its build result, and other files on the host that set that link.
Out: a line in tmpfiles.d from which each boot creates the link, the link itself, a root that
protects the drivers from collection, and a description of their state.
"""
