"""The server of the player: what it answers, and above all what it does not."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from symad import demo
from symad.cli import main
from symad.errors import ExpressionError
from symad.player.serve import EXAMPLES, PageServer, Request


@pytest.fixture(name="server")
def _server() -> Iterator[PageServer]:
    seen = threading.Event()

    def training() -> Iterator[str]:
        view = demo.TrainingView(*demo.spiral_network(4), *demo.spirals(30), resolution=6)
        for place, part in enumerate(view.live(steps=6, frames=4, pause=0.0)):
            yield part
            assert place != 3 or seen.wait(60)  # the last frame waits until the test has ended

    with PageServer(live={"Training, live": training}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        seen.set()
        server.shutdown()
        thread.join()


def ask(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return status, headers and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": f"127.0.0.1:{server.server_port}"} | headers).items():
        if value:
            connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.headers), text


def query(server: PageServer, **fields: str) -> str:
    return f"/{server.token}/?{urlencode(fields)}"


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_page_for_an_expression(server: PageServer) -> None:
    status, headers, page = ask(server, f"/{server.token}/")
    assert status == 200 and data_of(page)["title"] == "y = ln x1 + x1·x2 − sin x2"
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    status, _, page = ask(server, query(server, expression="a*b", values="a=2, b=[1, 2]", wrt="a"))
    data = data_of(page)
    assert status == 200 and data["title"] == "y = a·b"
    assert data["editor"]["values"] == "a=2, b=[1, 2]" and data["editor"]["error"] == ""
    assert len([row for row in data["panels"]["grads"] if row["l"]]) == 2  # of y and a
    _, _, page = ask(server, query(server, expression="sin(x)"))
    assert not data_of(page)["values"][0]


def test_only_the_token_and_the_host_open_a_page(server: PageServer) -> None:
    port = server.server_port
    for path in ("/", "/x/", f"/{server.token}", f"/{server.token}x/", f"/{server.token}/../",
                 f"/{server.token[:-1]}/", "/" + quote("v̄") + "/"):  # fmt: skip
        status, _, text = ask(server, path)
        assert status == 404 and "<" not in text and server.token not in text, path
    for host in ("", "example.com", f"example.com:{port}", f"127.0.0.1:{port + 1}", "127.0.0.1",
                 f"127.0.0.1:{port}.example.com", f"[::1]:{port}"):  # fmt: skip
        assert ask(server, f"/{server.token}/", Host=host)[0] == 421, host
    assert ask(server, f"/{server.token}/", Host=f"localhost:{port}")[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT"):
        assert ask(server, f"/{server.token}/", method)[0] == 501
    assert len(server.token) >= 32


def test_parts_of_a_live_page_are_sent_as_they_are_made() -> None:
    asked, left = threading.Event(), threading.Event()

    def parts() -> Iterator[str]:
        yield "<p>v̄₁</p>"
        assert asked.wait(20)
        try:
            while True:
                yield "x" * 100_000
        finally:
            left.set()

    with PageServer(live={"a & b": parts}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        assert data_of(ask(server, f"/{server.token}/")[2])["editor"]["live"] == ["a & b"]
        assert ask(server, f"/{server.token}/a")[0] == 404
        assert ask(server, f"/x/{quote('a & b')}")[0] == 404
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.request("GET", f"/{server.token}/{quote('a & b')}")
        answer = connection.getresponse()
        assert answer.status == 200 and "frame-ancestors 'none'" in str(answer.headers)
        assert answer.read1(100).decode() == "<p>v̄₁</p>"  # before the rest is made
        asked.set()
        answer.close()
        connection.close()
        assert left.wait(20)  # the reader has left, so nothing more is made
        assert ask(server, f"/{server.token}/")[0] == 200
        server.shutdown()
        thread.join()


def test_it_listens_on_the_loopback_interface_only(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    with PageServer() as other:
        assert other.token != server.token and other.server_port != server.server_port


def test_requests_have_limits(server: PageServer) -> None:
    assert ask(server, query(server, expression="x" * 20_000))[0] == 414
    _, _, page = ask(server, query(server, expression="x+" * 3000 + "x"))
    assert "at most 4000 characters" in data_of(page)["editor"]["error"]
    assert ask(server, f"/{server.token}/?{'a=1&' * 50}")[0] == 400
    _, _, page = ask(server, query(server, expression="x", values="x=" + "[" * 3000))
    assert "a value is a number or a list" in data_of(page)["editor"]["error"]
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as connection:
        connection.sendall(b"\0\xff" * 50_000 + b"\r\n\r\n")
        assert b"200" not in connection.recv(200)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"expression": "lgo(x)", "values": "x=1"}, "there is no function 'lgo'. Did you mean"),
        ({"expression": "__import__('os')"}, "column 1"),
        ({"expression": "x.__class__", "values": "x=1"}, "only .T and .mT"),
        ({"expression": ""}, "the expression is empty"),
        ({"expression": "x + y", "values": "x=1"}, "no value for y"),
        ({"expression": "x", "values": "x=1 z=2"}, "no variable 'z'"),
        ({"expression": "x", "values": "nonsense"}, "not of the form NAME=VALUE"),
        ({"expression": "x", "values": "x=1 x=2"}, "two values"),
        ({"expression": "x", "values": "x=__import__"}, "a value is a number or a list"),
        ({"expression": "x*y", "values": "x=1 y=2", "wrt": "z"}, "no variable 'z'"),
        ({"expression": "x @ w", "values": "x=[1,2] w=[1,2,3]"}, "matmul"),
        ({"expression": "x > 1", "values": "x=1"}, "cannot be differentiated"),
        ({"expression": "2 + 3"}, "at least one floating-point variable"),
    ],
)
def test_errors_are_text_beside_the_last_good_page(
    server: PageServer, fields: dict[str, str], error: str
) -> None:
    ask(server, query(server, expression="cos(q)", values="q=1"))
    status, _, page = ask(server, query(server, **fields))
    data = data_of(page)
    assert status == 200 and data["title"] == "y = cos q"
    assert error in data["editor"]["error"] and data["editor"]["expression"] == fields["expression"]


def test_hostile_text_is_text(server: PageServer) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    _, _, page = ask(server, query(server, expression=hostile, values=hostile, wrt=hostile))
    assert "<img" not in page and page.count("<script") == 2
    assert data_of(page)["editor"]["expression"] == hostile


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example[0]))
def test_examples(example: tuple[str, str, str]) -> None:
    request = Request(*example[1:])
    data = data_of(request.page(request))
    assert data["values"] and len(data["chapters"]) == 6


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def stop(server: PageServer) -> None:
        assert server.first.expression == "x*x" and server.first.values == "x=3"
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", stop)
    assert main(["serve", "x*x", "x=3"]) == 0
    address = capsys.readouterr().out.split()[0]
    assert opened == [address] and re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32,}/", address)
    assert main(["serve", "x*x", "x=3", "--no-browser"]) == 0 and len(opened) == 1
    assert main(["serve", "x*"]) == 2
    assert main(["serve", "--port", "99999"]) == 2


def test_values_that_are_missing() -> None:
    with pytest.raises(ExpressionError, match="no value for b"):
        Request("a*b", "a=1").page(Request("a*b", "a=1"))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to edit in")
def test_editing_in_a_browser(server: PageServer) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.address)
        page.keyboard.press("3")
        page.fill("#edit-expression", "x1*x2 + cos(x1)")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.inner_text("#title") == "y = x1·x2 + cos x1"
        assert page.evaluate("player.chapter") == 2, "the chapter stays"
        page.fill("#edit-values", "x1=oops")
        with page.expect_navigation():
            page.click("#build")
        assert "a value is a number" in page.inner_text("#wrong")
        assert page.input_value("#edit-values") == "x1=oops"
        with page.expect_navigation():
            page.select_option("#examples", label="A layer of a network")
        assert "tanh" in page.inner_text("#title") and not page.is_visible("#wrong")
        page.keyboard.press("Home")
        assert page.input_value("#edit-expression").startswith("sum(")
        with page.expect_navigation(wait_until="commit"):
            page.select_option("#examples", label="Training, live")
        shown = "[...document.querySelectorAll('section')].map((one) => one.checkVisibility())"
        while len(page.evaluate(shown)) < 3:
            page.wait_for_timeout(20)
        assert page.evaluate(shown) == [False, False, True], "the last frame is seen"
        assert page.evaluate("document.readyState") == "loading", "while the training goes on"
        assert complaints == []
        browser.close()
