"""Findings from facts: pure functions, one for each thing that can be wrong."""
