"""To and from a PACS."""
