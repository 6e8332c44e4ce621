"""A study whose truth is known."""

from tests.app.conftest import known_study as known_study
