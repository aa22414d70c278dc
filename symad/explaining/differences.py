"""The errors of finite differences by step size: truncation and rounding errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symad.autodiff.numeric import directional_derivative
from symad.autodiff.reverse import gradients
from symad.errors import MissingExtraError
from symad.explaining.comparison import Comparer
from symad.graph.node import Node
from symad.notation.table import Table, Tabular
from symad.notation.values import format_number
from symad.records import dataclass

_COLOURS = {"one-sided": "#b84a00", "central": "#0063a0"}


@dataclass(frozen=True)
class DifferenceErrors(Tabular):
    """The errors of finite differences for many steps; made by :func:`symad.difference_errors`.

    Attributes
    ----------
    steps : array
        From large to small.
    one_sided, central : array
        The absolute error of each difference along the direction.
    exact : float
        The derivative along the direction, δᵀ∇f by reverse mode.
    """

    steps: np.ndarray[Any, Any]
    one_sided: np.ndarray[Any, Any]
    central: np.ndarray[Any, Any]
    exact: float

    @property
    def table(self) -> Table:
        """A row for each step."""
        columns = zip(self.steps, self.one_sided, self.central, strict=True)
        rows = [[f"{step:.0e}", *map(_format_error, errors)] for step, *errors in columns]
        titles = ("step ε", "error of (f(x+ε) − f(x))/ε", "error of (f(x+ε) − f(x−ε))/2ε")
        return Table(titles, rows, {0, 1, 2}, (self._note(),))

    def _note(self) -> str:
        best = [self.steps[np.nanargmin(e)] for e in (self.one_sided, self.central) if _any(e)]
        if len(best) < 2:
            return "No step gives a finite error."
        return (
            f"The derivative is {format_number(self.exact)}. Smallest errors: one-sided at "
            f"{best[0]:.0e}, central at {best[1]:.0e}. Truncation errors grow like ε and ε², "
            "rounding errors like 1/ε."
        )

    def plot(self, axes: Any = None) -> Any:
        """Plot the errors against the step with Matplotlib, on logarithmic axes.

        Parameters
        ----------
        axes : matplotlib Axes, optional
            The axes to draw on; by default those of a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        MissingExtraError
            If Matplotlib is not installed.
        """
        if axes is None:
            axes = _new_axes()
        marks = {"one-sided": (self.one_sided, "o"), "central": (self.central, "s")}
        for name, (errors, mark) in marks.items():
            axes.loglog(self.steps, errors, marker=mark, color=_COLOURS[name], label=name)
        axes.set_xlabel("step ε")
        axes.set_ylabel("error of the difference")
        axes.grid(True, alpha=0.3)
        axes.legend()
        return axes

    def __repr__(self) -> str:
        return f"<DifferenceErrors for {len(self.steps)} steps>"


def measure_differences(
    y: Node, xs: Sequence[Node], feed: Mapping[Node, Any], steps: Sequence[float] | None
) -> DifferenceErrors:
    """Return the errors along a direction of length 1; see :func:`symad.difference_errors`."""
    comparer = Comparer(y, xs, feed)
    f = comparer.function(y)
    gradient = comparer.function(gradients(y, list(xs)))(*comparer.point)
    direction = _direction(comparer.point)
    exact = float(sum(np.sum(g * d) for g, d in zip(gradient, direction, strict=True)))
    sizes = np.asarray(steps if steps is not None else 10.0 ** -np.arange(0.0, 16.0), "float64")
    errors = [
        [
            abs(float(directional_derivative(f, comparer.point, direction, method, h)) - exact)
            for h in sizes
        ]
        for method in ("forward", "central")
    ]
    return DifferenceErrors(sizes, np.array(errors[0]), np.array(errors[1]), exact)


def _direction(point: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Return a direction of length 1 that weights all variables alike, always the same."""
    rng = np.random.default_rng(0)
    parts = [np.asarray(rng.normal(size=x.shape)) for x in point]
    length = np.sqrt(sum(np.sum(np.square(part)) for part in parts))
    return [np.asarray(part / length, x.dtype) for part, x in zip(parts, point, strict=True)]


def _format_error(error: float) -> str:
    return "nan" if np.isnan(error) else f"{error:.1e}"


def _any(errors: np.ndarray[Any, Any]) -> bool:
    return bool(np.any(~np.isnan(errors)))


def _new_axes() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "plotting the errors needs Matplotlib, which is not installed",
            remedy='Install it: pip install "symad[plot]".',
        ) from None
    return Figure(figsize=(6, 4), layout="constrained").subplots()
