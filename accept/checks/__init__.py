"""The checks. Each takes a machine and yields outcomes; judge_* are the decisions in them."""
