"""Stages that are done in other clones: errands, who carries them, and what comes back."""
