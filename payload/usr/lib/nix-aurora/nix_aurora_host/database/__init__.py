"""Nix's database: make copies of it, and restore a lost one from a copy.

In: the database, its copies, and the content of the store, none of which is trusted.
Out: copies, plans of what can be registered again, and a database with only these rows.
"""
