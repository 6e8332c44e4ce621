"""What each function of ``app`` is asked for: frozen requests, quick to import.

The command line and Python use the same ones.
"""
