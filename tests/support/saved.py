"""Saving and loading in memory, with what must hold each time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import symad as sm
from symad.saving.archive import as_json, write_archive
from symad.saving.files import hashes_of


def saved(value: Any, **keywords: Any) -> bytes:
    """Return the bytes of the file of a function, nodes or a graph."""
    file = io.BytesIO()
    found = sm.save(value, file, **keywords)
    assert found == sm.fingerprint(value, **keywords)
    return file.getvalue()


def loaded(data: bytes, **keywords: Any) -> Any:
    """Return what a file of these bytes holds."""
    return sm.load(io.BytesIO(data), **keywords)


def round_trip(value: Any, **keywords: Any) -> Any:
    """Return what is loaded; it is saved as the same bytes."""
    data = saved(value, **keywords)
    again = loaded(data)
    assert saved(again, **keywords) == data
    return again


def members_of(data: bytes) -> dict[str, bytes]:
    """Return the members of a file."""
    return dict(_members_of(data))


@lru_cache(maxsize=64)
def _members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def parsed(data: bytes) -> dict[str, Any]:
    """Return the JSON members of a file."""
    found = members_of(data).items()
    return {name: json.loads(text) for name, text in found if name.endswith(".json")}


def packed(members: dict[str, bytes]) -> bytes:
    """Return a file with these members, whose hashes are right."""
    rest = {name: [text] for name, text in members.items() if name != "symad.json"}
    head = json.loads(members["symad.json"])
    head["meaning"], head["content"] = hashes_of(rest)
    file = io.BytesIO()
    write_archive(file, {"symad.json": as_json(head), **rest})
    return file.getvalue()


def changed(data: bytes, member: str, change: Callable[[Any], Any]) -> bytes:
    """Return a file in which a JSON member is changed in place, and the hashes are right."""
    members = members_of(data)
    content = json.loads(members[member])
    change(content)
    members[member] = json.dumps(content, separators=(",", ":")).encode()
    return packed(members)
