"""Plain data against a published JSON Schema."""

from __future__ import annotations

import json
from operator import methodcaller
from typing import Any

import msgspec

from pelvimets.errors import InputError


def check_schema(data: Any, schema: dict[str, Any], name: str, remedy: str) -> None:
    """Refuse data that do not follow their schema.

    Args:
        data: As read from JSON.
        schema: JSON Schema, draft 2020-12.
        name: Of the file, as the message names it.
        remedy: What to do.

    Raises:
        InputError: with the first violation and its place.
    """
    from jsonschema import Draft202012Validator  # takes long to load

    problem = next(iter(Draft202012Validator(schema).iter_errors(data)), None)
    if problem is not None:
        raise InputError(
            f"{name} does not follow its schema",
            got=f"{problem.message} at {problem.json_path}",
            remedy=remedy,
        )


def plain(own: Any) -> Any:
    """Records as JSON knows them: names, lists, texts and numbers; back by ``msgspec.convert``.

    Raises:
        ValueError: if a number is not finite.

    >>> plain((1, 2.5))
    [1, 2.5]
    """
    built_in = msgspec.to_builtins(own, str_keys=True, enc_hook=methodcaller("item"))  # of NumPy
    return json.loads(json.dumps(built_in, allow_nan=False))
