"""The search over settings: space, trials, budget, records."""
