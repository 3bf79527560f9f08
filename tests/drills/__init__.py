"""Fault drills: something is killed, taken away or filled up, and what is seen then, and after a restart.

`python -m tests.drills` runs them all and writes what was seen into docs/faults.md; tests/test_drills.py
runs them as tests.
"""
