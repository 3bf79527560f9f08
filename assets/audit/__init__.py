"""What gives the class of an image away, and what leaks from train to test."""
