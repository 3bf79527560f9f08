"""Asking an images service for money: requests, pace, spending, and what has been paid for."""
