"""Finished benchmarks in git: recorded, listed, told apart, attested."""
