"""Pictures and sets of them: tar shards, manifests, decoding, degrading, near-duplicates."""
