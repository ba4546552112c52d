"""Nix's database: copies of it, and how a lost one comes back from a copy."""
