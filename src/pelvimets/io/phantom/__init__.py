"""Digital patients as a scanner would export them, and the record beside them."""
