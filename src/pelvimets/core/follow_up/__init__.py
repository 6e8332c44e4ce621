"""The same patient again: bones registered, lesions matched by place, change, response."""
