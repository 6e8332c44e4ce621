"""The page, the plain data and the checklist of an evaluation."""
