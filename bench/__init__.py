"""Measure figures, each beside a floor from the same run: ``python -m bench --help``."""
