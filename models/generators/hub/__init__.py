"""Pipelines that diffusers loads: fetched, checked to be whole, and asked for what they heed."""
