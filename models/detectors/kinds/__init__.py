"""One kind of detector a file: what it sees of pixels, its network, what it can be told."""
