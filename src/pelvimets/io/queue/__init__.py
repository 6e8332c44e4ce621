"""Studies that arrive by themselves: settings, files, the queue, its page."""
