"""Splits what Graphviz writes for several graphs at once, and joins PDF files.

Graphviz writes one file after another.  Its PDF files, which Cairo makes, consist of plain objects
``n 0 obj … endobj``, without object streams.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from symad.errors import InternalError

_PNG = b"\x89PNG\r\n\x1a\n"
_REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
_STREAM = re.compile(rb"\bstream\r?\n")
_PAGE = re.compile(rb"/Type\s*/Page\b")
_PARENT = re.compile(rb"/Parent\s+\d+ 0 R")
_KEPT = re.compile(rb"/Type\s*/(?:Pages|Catalog)\b")


def split_images(images: bytes) -> list[bytes]:
    """Return the PNG images that follow one another in a file."""
    return [_PNG + image for image in images.split(_PNG)[1:]]


def split_pdf(files: bytes) -> list[bytes]:
    """Return the PDF files that follow one another in a file."""
    return [b"%PDF-" + file for file in re.split(rb"(?:^|(?<=%%EOF\n))%PDF-", files)[1:]]


def joined_pdf(files: Sequence[bytes]) -> bytes:
    """Return one PDF file with the pages of others.

    The page tree of the first two objects is new; all other objects are copied, renumbered.
    """
    objects: list[bytes] = []
    pages: list[int] = []
    for file in files:
        found = [(n, body) for n, body in _objects(file) if not _KEPT.search(_head(body))]
        numbers = {n: place for place, (n, _) in enumerate(found, len(objects) + 3)}
        for number, body in found:
            pages += [numbers[number]] * bool(_PAGE.search(_head(body)))
            objects.append(_renumbered(body, numbers))
    if len(pages) < len(files):
        raise InternalError("a PDF of Graphviz has no page that can be copied")
    kids = b" ".join(b"%d 0 R" % page for page in pages)
    tree = b"<< /Type /Pages /Count %d /Kids [ %b ] >>" % (len(pages), kids)
    return _file([b"<< /Type /Catalog /Pages 2 0 R >>", tree, *objects])


def _objects(file: bytes) -> list[tuple[int, bytes]]:
    """Return the number and the body of each object, found by the table at the end."""
    table = file[int(file.rpartition(b"startxref")[2].split()[0]) :]
    starts = sorted(int(row[:10]) for row in re.findall(rb"\d{10} \d{5} n", table))
    found = []
    for start, end in zip(starts, [*starts[1:], len(file)], strict=True):
        text = file[start:end]
        opening = re.match(rb"\s*(\d+) 0 obj\b", text)
        if opening is None:
            raise InternalError("the table of a PDF of Graphviz is wrong")
        found.append((int(opening[1]), text[opening.end() : text.rindex(b"endobj")].strip()))
    return found


def _head(body: bytes) -> bytes:
    """Return an object without the contents of its stream."""
    stream = _STREAM.search(body)
    return body[: stream.start()] if stream else body


def _renumbered(body: bytes, numbers: dict[int, int]) -> bytes:
    head = _head(body)
    stream = body[len(head) :]
    head = _PARENT.sub(b"/Parent @", head)
    head = _REFERENCE.sub(lambda found: b"%d 0 R" % numbers[int(found[1])], head)
    return head.replace(b"/Parent @", b"/Parent 2 0 R") + stream


def _file(objects: Sequence[bytes]) -> bytes:
    """Return a PDF file of objects, the first of which is the catalogue."""
    parts, starts, length = [b"%PDF-1.5\n"], [], 9
    for number, body in enumerate(objects, 1):
        part = b"%d 0 obj\n%b\nendobj\n" % (number, body)
        starts.append(length)
        parts.append(part)
        length += len(part)
    rows = b"".join(b"%010d 00000 n \n" % start for start in starts)
    size = len(objects) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, rows))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, length))
    return b"".join(parts)
