"""The paper's tables as plain text cells."""
