"""What is wrong with a host: pure functions, and a kind of finding for each fault.

In: facts.
Out: findings, the causes before what comes of them, each with a command that fixes it.
"""
