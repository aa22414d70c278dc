"""``symad serve``: the page of an expression that can be edited, from a server on this machine.

The address of a page is its state: expression, values and settings.  A request can only make the
expression reader read text, or start one of the live pages that the server was given.  The server
listens on the loopback interface, and answers only requests that name it as their host and know
the token, which is in the address.
"""

from __future__ import annotations

import secrets
import socketserver
from collections.abc import Callable, Iterable, Mapping
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Lock
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from symad.errors import ExpressionError, SymadError
from symad.expression import read_expression, read_feed
from symad.player.player import play_expression
from symad.records import dataclass

HOST = "127.0.0.1"
_LONGEST_PATH = 16_384  # characters of an address
_SECONDS = 10  # for a request to arrive
_FIELDS = ("expression", "values", "wrt")

EXAMPLES = (
    ("The running example", "log(x1) + x1*x2 - sin(x2)", "x1=2 x2=5"),
    ("A function used twice", "(exp(v1) + 1) * exp(v1)", "v1=0.5"),
    ("Doubling: a + a, and again", "(a + a) + (a + a)", "a=1"),
    ("A product of parameters", "t1*t2*t3*t4", "t1=1 t2=2 t3=3 t4=4"),
    ("A kink", "relu(x1) * x2 + abs(x1 - x2)", "x1=1 x2=2"),
    ("A neuron", "tanh(w1*x1 + w2*x2 + b)", "w1=0.5 w2=-1 x1=1 x2=2 b=0.25"),
    ("A layer of a network", "sum(tanh(W @ x + b))", "W=[[1, 0, 2], [0, 1, 1]] x=[0.5, 1, 2] "
     "b=[0.1, -0.1]"),
    ("Broadcasting", "sum((X - m)**2)", "X=[[1, 2, 3], [4, 5, 6]] m=[1, 2, 3]"),
    ("The softmax loss", "logsumexp(z) - sum(t*z)", "z=[1, 2, 3] t=[0, 0, 1]"),
    ("Logistic regression", "mean(log1p(exp(-t * (X @ w))))",
     "t=[1, -1, 1] X=[[1, 2], [2, -1], [0, 1]] w=[0.5, -0.5]"),
)  # fmt: skip
"""The lecture's examples: titles, expressions, values."""


@dataclass(frozen=True)
class Request:
    """What a page shows, as the reader has typed it.

    Attributes
    ----------
    expression, values : str
        ``values`` is ``x1=2 x2=5``, or empty.
    wrt : str
        Names of variables to differentiate with respect to; empty for all.
    """

    expression: str = EXAMPLES[0][1]
    values: str = EXAMPLES[0][2]
    wrt: str = ""

    def page(self, shown: Request, error: str = "", live: Iterable[str] = ()) -> str:
        """Return the page of ``shown``, with this request and an error in its editor.

        The editor also leads to the live pages of the given names.
        """
        read = read_expression(shown.expression)
        feed = read_feed(read, shown.values)
        names = shown.wrt.replace(",", " ").split()
        targets = [read.variable(name) for name in dict.fromkeys(names)] or None
        editor = {name: getattr(self, name) for name in _FIELDS}
        examples = [list(example) for example in EXAMPLES]
        return play_expression(
            read,
            targets,
            feed,
            editor={**editor, "error": error, "examples": examples, "live": list(live)},
        ).html


Live = Callable[[], Iterable[str]]
"""Starts something, and returns the parts of a page about it, each made when it is asked for."""


class PageServer(socketserver.ThreadingMixIn, HTTPServer):
    """A server of pages on the loopback interface.

    Parameters
    ----------
    port : int
        0 for any that is free.
    first : Request, optional
        What the page shows if its address does not say it.
    live : dict from str to callable, optional
        Returns the parts of a page, which are sent as they are made; by name.

    Attributes
    ----------
    address : str
        The address of the page, with the token.
    """

    daemon_threads = True

    def __init__(
        self, port: int = 0, first: Request | None = None, live: Mapping[str, Live] | None = None
    ) -> None:
        self.live = live or {}
        self.token = secrets.token_urlsafe(24)
        self.first = first or Request()
        self._good = Request()
        self._lock = Lock()
        super().__init__((HOST, port), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def page(self, query: str) -> str:
        """Return the page for the query of an address."""
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=2 * len(_FIELDS))
        given = {name: fields[name][-1] for name in _FIELDS if name in fields}
        request = self.first if "expression" not in given else Request(**{"values": "", **given})
        with self._lock, np.errstate(all="ignore"):  # one at a time: each takes a whole processor
            try:
                page = request.page(request, live=self.live)
            except Exception as error:  # whatever it is, the reader should see it
                return request.page(self._good, _in_words(error), self.live)
            self._good = request
            return page


def _in_words(error: Exception) -> str:
    if not isinstance(error, SymadError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, ExpressionError):
        return str(error)
    return f"{error.message.rstrip('.')}. {error.remedy}"


class _Handler(BaseHTTPRequestHandler):
    """Answers ``GET /token/?expression=...`` and ``GET /token/live page``, and nothing else."""

    server: PageServer
    server_version, sys_version = "symad", ""
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Send a page, or refuse."""
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            return self._send(HTTPStatus.MISDIRECTED_REQUEST, "This is not the host.")
        if len(self.path) > _LONGEST_PATH:
            return self._send(HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long.")
        parts = urlsplit(self.path)
        folder, _, name = parts.path.rpartition("/")
        if not compare_digest(folder.encode(), f"/{self.server.token}".encode()):
            return self._send(HTTPStatus.NOT_FOUND, "The address has no valid token.")
        if name:
            return self._send_live(unquote(name))
        try:
            page = self.server.page(parts.query)
        except ValueError:
            return self._send(HTTPStatus.BAD_REQUEST, "The address has too many parts.")
        return self._send(HTTPStatus.OK, page, "text/html")

    def _send_live(self, name: str) -> None:
        if name not in self.server.live:
            return self._send(HTTPStatus.NOT_FOUND, "There is no such page.")
        self._send_head(HTTPStatus.OK, "text/html")
        try:
            for part in self.server.live[name]():
                self.wfile.write(part.encode())
        except (ConnectionError, TimeoutError):  # the reader has left
            return None

    def _send(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        self._send_head(status, kind, {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _send_head(
        self, status: HTTPStatus, kind: str, more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.send_response(status)
        headers: Mapping[str, str] = {
            **more,
            "Content-Type": f"{kind}; charset=utf-8",
            "Cache-Control": "no-store",
            "Content-Security-Policy": "frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: addresses contain the token."""
