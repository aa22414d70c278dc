"""Damage to saved graphs: to bytes of the file, to bytes of its members, and to their values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from symad.graph.op import OP_CLASSES
from tests.support.saved import members_of, packed

Rng = np.random.Generator

VALUES = (
    None, True, False, 0, 1, 2, 3, -1, 7, 64, 10**6, 2**31, 2**63 - 1, 2**63, 10**80, "", "x", "?",
    "float64", "complex128", "object", "O", "00", "nan", "1e400", "constants/0.npy", "../x",
    "__class__", "os.system", [], {}, [0], [[]], {"unknown": 0}, {"unknown": -1}, {"graph": 0},
    {"graph": 99}, {"op": 0}, {"float": "nan"}, {"float": "x"}, {"dtype": "float32"},
    {"ellipsis": None}, {"type": 0}, {"join": []}, {"join": [{"unknown": 1}, [2, "n"]]},
    {"tuple": []}, ["variable", 0, "x"], ["constant", 0, "00" * 8], ["input", 0, None],
)  # fmt: skip


def mutated(data: bytes, rng: Rng) -> bytes:
    """Return a damaged file."""
    kind = rng.integers(8)
    if kind == 0:
        return changed_bytes(data, rng)
    members = members_of(data)
    names = [name for name in members if name != "symad.json"]
    name = names[rng.integers(len(names))]
    if kind == 1 or not name.endswith(".json"):
        members[name] = changed_bytes(members[name], rng)
    elif kind == 2:
        return packed({k: members[k] for k in rng.permutation(list(members)) if k != name})
    else:
        content = json.loads(members[name])
        for _ in range(int(rng.integers(1, 4))):
            content = changed_value(content, rng)
        members[name] = json.dumps(content, separators=(",", ":")).encode()
    return packed(members)


def changed_bytes(data: bytes, rng: Rng) -> bytes:
    """Return bytes some of which are changed, cut out, repeated or put in."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place, length = int(rng.integers(len(made) + 1)), int(rng.integers(1, 20))
        piece = made[place : place + length]
        kind = rng.integers(6)
        if kind == 0 and piece:
            made[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del made[place : place + length]
        elif kind == 2:
            made[place:place] = piece
        elif kind == 3:
            made[place:place] = rng.bytes(length)
        elif kind == 4:
            made[place : place + length] = rng.bytes(length)
        elif rng.random() < 0.2:
            del made[place:]
        if not made:
            break
    return bytes(made)



def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the containers in a value, with each key or index."""
    pending = [value] if isinstance(value, (dict, list)) else []
    while pending:
        here = pending.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here))
        for key in keys:
            yield here, key
            if isinstance(here[key], (dict, list)):
                pending.append(here[key])


def copy(value: Any) -> Any:
    """Return a copy of a value of JSON."""
    return json.loads(json.dumps(value))


def any_value(rng: Rng) -> Any:
    """Return one of the values that have no business anywhere."""
    return copy(VALUES[rng.integers(len(VALUES))])


def changed_value(value: Any, rng: Rng) -> Any:
    """Return the value with one item changed in place, taken out, repeated or exchanged."""
    found = list(places_in(value))
    if not found:
        return any_value(rng)
    here, key = found[rng.integers(len(found))]
    there, other = found[rng.integers(len(found))]
    kind = rng.integers(8)
    if kind == 0:
        del here[key]
    elif kind == 1 and isinstance(here, list):
        here.insert(key, here[key])
    elif kind == 2:
        first, second = copy(here[key]), copy(there[other])
        here[key], there[other] = second, first
    elif kind == 3:
        here[key] = copy(there[other])
    elif kind == 4 and type(here[key]) is int:
        here[key] += int(rng.choice([-1, 1, -2, 2, 100]))
    elif kind == 5 and isinstance(here[key], str):
        names = sorted(OP_CLASSES)
        here[key] = names[rng.integers(len(names))]
    elif kind == 6 and isinstance(here, dict):
        here[str(any_value(rng))] = here.pop(key)
    else:
        here[key] = any_value(rng)
    return value
