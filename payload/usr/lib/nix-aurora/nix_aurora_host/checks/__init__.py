"""Checks of a host: pure functions, and a kind of finding for each fault.

In: facts.
Out: findings, causes before their effects, each with a command that fixes it.
"""
