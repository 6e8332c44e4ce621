"""What a site of a federation runs for a job of ``job.py``: its own training, with the others.

Names of the site's own environment variables may stand in the arguments, as $PELVIMETS_COHORT.
"""

import os
import sys

from pelvimets.cli import main

if __name__ == "__main__":
    sys.argv[1:] = ["train", *map(os.path.expandvars, sys.argv[1:]), "--federated"]
    main()
