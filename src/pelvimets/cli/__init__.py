"""The command line: parse, call ``app``, print."""


def main() -> None:
    """Entry point."""
