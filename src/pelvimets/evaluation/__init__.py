"""Masks and scores against a reference: metrics, matching, statistics, tables, figures."""
