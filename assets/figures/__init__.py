"""Figures of the report as SVG: one file a kind of figure."""
