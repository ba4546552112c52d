"""The checks: each takes a machine and yields outcomes, and judge_* functions decide them."""
