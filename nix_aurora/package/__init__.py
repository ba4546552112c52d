"""The packages: an SRPM of the staged closures, and the RPMs that rpmbuild builds from it.

In: staged closures with their descriptions, the payload and the spec template.
Out: an SRPM and RPMs in the output directory, each verified after rpmbuild wrote it.
"""
