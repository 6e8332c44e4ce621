"""Findings to plain data, HTML and PDF."""
