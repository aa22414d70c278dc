"""The gallery: pictures that are drawn as the site is built, each under the code that draws it."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import symad as sm

_HEAD = """# Gallery

Each picture is drawn by the lines above it when this site is built; `import symad as sm` and
`import numpy as np` come first. [How to draw a graph](../howto/draw.md) says more.
"""


def running_example() -> Any:
    """The lecture's example at x1 = 2, x2 = 5: the graph, its adjoints, and all their values."""
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    return sm.draw([y, *sm.gradients(y, [x1, x2])], {x1: 2.0, x2: 5.0})


def two_pathways() -> Any:
    """f = (exp(v1) + 1)·exp(v1): an identity, two products, and the sum over both pathways."""
    v1 = sm.Variable("v1")
    v2 = sm.exp(v1)
    f = (v2 + 1) * v2
    return sm.draw([f, sm.gradients(f, v1)])


def forward_mode() -> Any:
    """Tangents flow along with the graph: one pass for each input."""
    x1, x2 = sm.Variable("x1"), sm.Variable("x2")
    y = sm.log(x1) + x1 * x2 - sm.sin(x2)
    tangent = sm.tangents(y, [x1, x2], [1.0, 0.0])[y]
    return sm.draw([y, tangent], {x1: 2.0, x2: 5.0})


def regularised_network() -> Any:
    """J = L + λ/2 (‖W1‖² + ‖W2‖²): squares for variables, circles for operations."""
    from symad.demo.models import initial_weights, regularised_network

    weights1, weights2 = (weight.T for weight in initial_weights(784, 100, 10))
    return sm.draw(regularised_network(weights1, weights2, strength=0.001).loss)


def layers_in_scopes() -> Any:
    """Scopes are frames, on both sides; arrays show their sizes and norms."""
    rng = np.random.default_rng(1)
    x, target = sm.Variable("X", ("batch", 8)), sm.Variable("target", ("batch", 3))
    w1, w2 = sm.parameter("W1", rng.normal(size=(8, 5))), sm.parameter("W2", np.ones((5, 3)))
    with sm.scope("layer 1"):
        hidden = sm.tanh(x @ w1)
    with sm.scope("layer 2"):
        output = hidden @ w2
    with sm.scope("loss"):
        loss = sm.mean(sm.square(output - target))
    feed = {x: rng.normal(size=(4, 8)), target: rng.normal(size=(4, 3))}
    return sm.draw([loss, *sm.gradients(loss, [w1, w2])], feed)


def attention() -> Any:
    """Attention, whose weights are used on the way back too."""
    queries, keys, values = (sm.Variable(name, ("tokens", 16)) for name in "QKV")
    with sm.scope("weights"):
        weights = sm.softmax(queries @ keys.T / 4, axis=-1)
    y = sm.sum(sm.square(weights @ values))
    return sm.draw([y, *sm.gradients(y, [queries, keys, values])])


def loop() -> Any:
    """A loop that runs in machine code, its adjoint loop, and what is saved between them."""
    a, x = sm.Variable("a", ()), sm.Variable("x", (20,))
    last, _ = sm.scan(lambda s, e: (sm.tanh(a * s) + e, None), 0.0, x)
    return sm.draw([last, sm.gradients(last, a)])


def watched_training() -> Any:
    """A training, watched: decision regions, loss, and the norm of each layer's gradient."""
    from symad import demo

    network = demo.spiral_network(16, 16)
    return demo.TrainingView(*network, *demo.spirals()).run(steps=300)


def broadcasting() -> Any:
    """What was broadcast is summed back: a shape repair, shown where it does something."""
    x, b = sm.Variable("x"), sm.Variable("b")
    y = sm.sum(x * b)
    return sm.draw([y, *sm.gradients(y, [x, b])], {x: np.ones((2, 2)), b: [3.0, 4.0]})


def structures() -> Any:
    """A dict as a value: the gradient flows through the item that is used."""
    a0, a1 = sm.Variable("a0"), sm.Variable("a1")
    d = sm.structure({"cat": a0, "dog": a1})
    v = sm.square(d["cat"])
    return sm.draw([v, sm.gradients(v, a0)])


def second_derivative() -> Any:
    """The gradient of a gradient: no new code, one more generation, with numbers that go on."""
    x1, x2 = sm.Variable("x1", ()), sm.Variable("x2", ())
    y = sm.sin(x1) * x2
    first, _ = sm.gradients(y, [x1, x2])
    return sm.draw([y, first, *sm.gradients(first, [x1, x2])])


def third_derivative() -> Any:
    """And one more."""
    x = sm.Variable("x", ())
    y = sm.sin(x) * x
    first = sm.gradients(y, x)
    second = sm.gradients(first, x)
    return sm.draw([y, first, second, sm.gradients(second, x)])


def hessian_vector_product() -> Any:
    """Forward over reverse: tangents of the adjoints."""
    z, d = sm.Variable("z", (2,)), sm.Variable("d", (2,))
    y = z[0] ** 2 * z[1]
    return sm.draw([y, sm.gradients(y, z), sm.hessian_vector_product(y, z, d)])


def folded() -> Any:
    """Four hundred nodes, folded by scope."""
    x = hidden = sm.Variable("x", ("n",))
    for i in range(1, 9):
        with sm.scope(f"block {i}"):
            for _ in range(4):
                hidden = hidden + sm.tanh(hidden) * sm.sin(x)
    y = sm.sum(hidden)
    return sm.draw([y, sm.gradients(y, x)])


def where_the_time_goes() -> Any:
    """A compiled function, profiled: what runs after all passes, and how long each node takes."""
    x, w = sm.Variable("x", ("batch", 256)), sm.Variable("w", (256, 64))
    y = sm.mean(sm.logsumexp(sm.tanh(x @ w), axis=1))
    f = sm.compile([x, w], [y, sm.gradients(y, w)], backend="numpy")
    return sm.profile(f, np.ones((128, 256)), np.ones((256, 64))).draw()


def memory_of_a_step() -> Any:
    """The buffers of a compiled gradient over its steps; what the way back reads stands out."""
    x, w = sm.Variable("x", (128, 256)), sm.Variable("w", (256, 64))
    y = sm.mean(sm.logsumexp(sm.tanh(x @ w), axis=1))
    return sm.memory(sm.compile([x, w], [y, sm.gradients(y, w)], backend="numpy"))


def names_of_any_kind() -> Any:
    """Names are shown as text, whatever they hold."""
    names = ["<b>bold</b>", r"\frac{1}{2}", "a]; b -> c", "שלום", "two\nlines"]
    xs = [sm.Variable(name, ()) for name in names]
    with sm.scope("“quoted” & <escaped>"):
        y = sm.add_n([sm.sin(x) for x in xs])
    return sm.draw(y)


PICTURES: tuple[Callable[[], Any], ...] = (
    running_example, two_pathways, forward_mode, regularised_network, layers_in_scopes, attention,
    loop, watched_training, broadcasting, structures, second_derivative, third_derivative,
    hessian_vector_product, folded, where_the_time_goes, memory_of_a_step, names_of_any_kind,
)  # fmt: skip


_HIGHEST = 1200  # of a picture on the page, in pixels


def write(folder: Path) -> None:
    """Draw all pictures into a folder, and write the page that shows them."""
    parts = [_HEAD]
    for picture in PICTURES:
        svg = picture().svg()
        (folder / f"{picture.__name__}.svg").write_text(svg, encoding="utf-8")
        parts.append(_section(picture, svg))
    (folder / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


def _section(picture: Callable[[], Any], svg: str) -> str:
    caption = inspect.getdoc(picture)
    _, _, body = inspect.getsource(picture).partition('"""\n')
    code = textwrap.dedent(body).replace("return ", "")
    title = picture.__name__.replace("_", " ").capitalize()
    image = f"![{caption}]({picture.__name__}.svg){{width={_width(svg)}px}}"
    return f"## {title}\n\n{caption}\n\n```python\n{code}```\n\n{image}\n"


def _width(svg: str) -> int:
    """Return the width at which a picture is shown, in pixels: that of the page at most."""
    found = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    assert found, "a picture without a size"
    width, height = map(float, found.groups())
    return round(width * min(1.0, _HIGHEST / height))
