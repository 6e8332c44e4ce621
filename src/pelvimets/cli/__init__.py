"""The command line: parse, call ``app``, print; exit codes 0 (done), 1 (failed), 2 (usage)."""

from pelvimets.cli.main import main

__all__ = ["main"]
