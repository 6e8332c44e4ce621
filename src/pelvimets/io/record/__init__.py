"""Folders that runs leave: results, reviews, training runs, searches, bundles."""
