"""The packages for statistics and figures, an optional part of the installation."""

from __future__ import annotations

from importlib.util import find_spec

from pelvimets.errors import MissingExtraError

_PACKAGES = ("matplotlib", "pandas", "sklearn", "yaml")


def check_study_extra() -> None:
    """Refuse early where they are missing.

    Raises:
        MissingExtraError: with the command that installs them.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "Statistics and figures need further packages",
            got=f"missing: {', '.join(missing)}",
            remedy="Install them with: pip install 'pelvimets[study]'",
        )
