"""Packaged data: templates, shipped bundles, phantom anatomy, each with its licence."""
