"""Writes functions over tables of 8-byte words, in which the addresses of objects stand."""

from __future__ import annotations

from typing import Any

from symad.backends.native.object_writer import ObjectWriter


class WordWriter(ObjectWriter):
    """Writes a module of functions that read and write the words of tables.

    Words and pointers are 8 bytes each.
    """

    def __init__(self, name: str) -> None:
        from symad.backends.native import ir

        super().__init__(ir.Module(name))
        self._functions: dict[str, Any] = {}

    def _begin(self, name: str, result: Any, *arguments: Any, is_exported: bool = False) -> Any:
        """Start a function that others of this module can call, and return its arguments."""
        given = self.begin(name, result, *arguments, is_exported=is_exported)
        self._functions[name] = self.builder.function
        return given

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function of this module."""
        return self.builder.call(self._functions[name], arguments)

    def _kernel_type(self) -> Any:
        return self._ir.FunctionType(self.word, [self.pointer]).as_pointer()

    def _get(self, base: Any, index: int, type_: Any = None) -> Any:
        """Load a word of a record."""
        return self.load(base, 8 * index, type_ or self.word)

    def _get_pointer(self, base: Any, index: int) -> Any:
        """Load a word of a record that is an address."""
        return self._get(base, index, self.pointer)

    def _set(self, base: Any, index: int, value: Any) -> None:
        """Set a word of a record."""
        self.store(value, base, 8 * index)

    def _record(self, records: Any, index: Any, words: int) -> Any:
        """Return where a record begins, of several that have so many words."""
        return self._word_at(records, self.builder.mul(index, self.word(words)))

    def _word_at(self, words: Any, index: Any) -> Any:
        """Return where a word stands."""
        return self.builder.gep(words, [index], source_etype=self.word)

    def _load_word(self, words: Any, index: Any, type_: Any = None) -> Any:
        """Load a word, whose index is known when the code runs."""
        return self.builder.load(self._word_at(words, index), typ=type_ or self.word)
