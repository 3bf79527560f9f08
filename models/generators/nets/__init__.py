"""Networks and diffusion processes of released models, under the names of their checkpoints."""
