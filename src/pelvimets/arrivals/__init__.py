"""What arrives from a PACS and what goes back: studies fetched or received, read, results sent."""
