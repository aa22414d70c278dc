"""The source line of a node that was loaded."""

from __future__ import annotations

from typing import Any

from symad.graph.provenance import Site


class SavedSite(Site):
    """A line of the source from which a file was made; the file holds its text."""

    __slots__ = ("_text",)

    def __init__(self, filename: str, line: int, text: str) -> None:
        super().__init__(filename, line)
        self._text = text

    @property
    def source(self) -> str:
        """The text of the line."""
        return self._text

    def __reduce__(self) -> tuple[type[Site], tuple[Any, ...]]:
        return SavedSite, (self.filename, self.line, self._text)
