"""Scripts that lie in exported MONAI bundles; the package itself never loads them."""
