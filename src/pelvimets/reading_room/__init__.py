"""Results under readers' eyes: desk, worklist, readers of one result, follow-up of one patient."""
