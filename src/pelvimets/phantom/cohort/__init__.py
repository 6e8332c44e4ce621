"""One digital man from one seed, and study populations."""
