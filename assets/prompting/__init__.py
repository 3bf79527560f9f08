"""What generators are asked for."""
