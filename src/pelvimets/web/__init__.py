"""The local viewer."""
