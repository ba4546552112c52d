"""Graphics drivers for programs of nixpkgs, which look for them in /run/opengl-driver.

In: an installable, what it was built to, and what else on the host sets that link.
Out: a line in tmpfiles.d with which each boot makes the link, the link itself, and a root that
keeps the drivers from being collected; and their state in words.
"""
