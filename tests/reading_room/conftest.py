"""A study whose truth is known, and a finished run under a reader's eyes."""

from tests.app.conftest import known_study as known_study
from tests.web.conftest import desk as desk
from tests.web.conftest import finished_run as finished_run
from tests.web.conftest import out as out
