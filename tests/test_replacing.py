"""Files are complete or not there, and errors name the file that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import symad as sm
from symad.replacing import replacing


def test_an_old_file_stays_if_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and [*tmp_path.iterdir()] == [path]
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and [*tmp_path.iterdir()] == [path]


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "x.svg"
    with pytest.raises(FileNotFoundError) as caught:
        sm.draw(sm.Variable("x") * 2).save(path)
    assert caught.value.filename == str(path)
