"""What the models that are trained here share."""
