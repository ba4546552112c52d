"""Nix's database: copies of it, and how a lost one comes back from a copy.

In: the database, its copies, and the content of the store, none of which is trusted.
Out: copies, plans of what can be registered again, and a database that holds only that.
"""
