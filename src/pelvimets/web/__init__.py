"""The local viewer: a study, its bones and lesions, and the reader's corrections."""

from pelvimets.web.server import ViewerServer, bind_viewer, bind_worklist

__all__ = ["ViewerServer", "bind_viewer", "bind_worklist"]
