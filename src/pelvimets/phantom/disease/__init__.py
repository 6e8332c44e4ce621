"""Metastases, what mimics them, and how they change."""
