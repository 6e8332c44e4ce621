"""Networks, inference back-ends and bundles (settings, weights, model card)."""
