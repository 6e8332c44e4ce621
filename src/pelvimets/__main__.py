"""``python -m pelvimets``."""

from pelvimets.cli import main

main()
