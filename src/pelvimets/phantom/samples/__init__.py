"""Training samples on the fly: random men in random contrast."""
