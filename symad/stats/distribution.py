"""What all distributions have in common: parameters, supports, location and scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from symad.errors import GraphTypeError
from symad.graph.node import Constant, Node
from symad.ops.base import Operand, as_nodes
from symad.ops.comparison import logical_and, where
from symad.ops.exponential import exp, log, log1p
from symad.ops.special_series import real

Formula = Callable[..., Any]


class Distribution:
    """A namespace of functions of one distribution; nothing is an instance of it."""

    shapes: ClassVar[tuple[str, ...]] = ()
    """The names of the parameters that have no default, in order."""
    defaults: ClassVar[Mapping[str, Any]] = {"loc": None, "scale": None}
    """The further parameters, after these; None for a location of 0 and a scale of 1."""

    allowed: ClassVar[Formula] = staticmethod(lambda *shapes: [shape > 0 for shape in shapes])
    """The conditions that these parameters must meet."""

    @classmethod
    def nodes_of(
        cls, x: Operand, args: Any, named: Mapping[str, Any]
    ) -> tuple[Node, list[Node], list[Node | None]]:
        """Return x and both kinds of parameters as nodes of floats; None for a default.

        Raises
        ------
        GraphTypeError
            If the parameters are not those of the distribution.
        """
        names = [*cls.shapes, *cls.defaults]
        given = dict(zip(names, args, strict=False))
        values = {**cls.defaults, **given, **named}
        missing = [name for name in cls.shapes if name not in values]
        if len(args) > len(names) or missing or {*values} - {*names} or {*given} & {*named}:
            parameters = [*cls.shapes, *(f"{name}=..." for name in cls.defaults)]
            raise GraphTypeError(
                f"{cls.__name__} has the parameters {', '.join(names)}, and got "
                f"{', '.join([*map(str, args), *(f'{key}=' for key in named)]) or 'none'}",
                remedy=f"Give them after the argument: (x, {', '.join(parameters)}).",
            )
        there = [name for name in names if values[name] is not None]
        x_node, *nodes = (real(n) for n in as_nodes(x, *(values[name] for name in there)))
        found = dict(zip(there, nodes, strict=True))
        return x_node, [found[n] for n in cls.shapes], [found.get(n) for n in cls.defaults]

    @staticmethod
    def where_allowed(conditions: list[Node], value: Node) -> Node:
        """Return ``value``, NaN where a condition on the parameters is not met."""
        unsure = [condition for condition in conditions if not _is_met(condition)]
        return where(reduce(logical_and, unsure), value, np.nan) if unsure else value


def _is_met(condition: Node) -> bool:
    """Return whether a condition compares constants, and holds for all their elements."""
    values = [source.value for source in condition.inputs if isinstance(source, Constant)]
    assert condition.op is not None
    return len(values) == len(condition.inputs) and bool(np.all(condition.op.kernel()(*values)))


class Continuous(Distribution):
    """A distribution with a density, which is given for location 0 and scale 1."""

    log_density: ClassVar[Formula]
    """ln p(z, *shapes) inside of the support."""
    density: ClassVar[Formula | None] = None
    """p(z, *shapes), where it has derivatives that its logarithm has not."""
    below: ClassVar[Formula | None] = None
    above: ClassVar[Formula | None] = None
    """Conditions on z that it is outside of the support; None if there is no limit."""

    @classmethod
    def _apply(
        cls,
        formula: Formula,
        outside: tuple[float, float],
        x: Operand,
        args: Any,
        named: Any,
        scaled: Formula = lambda value, scale: value,
    ) -> Node:
        """Return a formula of z, ``scaled`` by the scale; its values below and above the support.

        Nothing depends on the scale outside of the support, and the derivatives are 0.
        """
        z, shapes, (loc, scale) = cls.nodes_of(x, args, named)
        z = z if loc is None else z - loc
        z = z if scale is None else z / scale
        value = formula(z, *shapes)
        value = value if scale is None else scaled(value, scale)
        for condition, constant in zip((cls.above, cls.below), outside[::-1], strict=True):
            value = value if condition is None else where(condition(z), constant, value)
        positive = [] if scale is None else [scale > 0]
        return cls.where_allowed([*cls.allowed(*shapes), *positive], value)

    @classmethod
    def logpdf(cls, x: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the logarithm of the density at ``x``, element by element.

        Parameters
        ----------
        x : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        outside = -np.inf, -np.inf
        return cls._apply(cls.log_density, outside, x, args, named, lambda v, s: v - log(s))

    @classmethod
    def pdf(cls, x: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the density at ``x``, element by element.

        Parameters
        ----------
        x : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        density = cls.density or (lambda *operands: exp(cls.log_density(*operands)))
        return cls._apply(density, (0.0, 0.0), x, args, named, lambda value, s: value / s)


def _log_share(share: Formula, rest: Formula) -> Formula:
    """Return the formula of ln ``share``, from the smaller one of both: they add up to 1."""

    def formula(*operands: Node) -> Node:
        value, other = share(*operands), rest(*operands)
        return where(value > 0.5, log1p(-other), log(value))

    return formula


class CumulativeDistribution(Continuous):
    """A distribution whose distribution function is known too."""

    cumulative: ClassVar[Formula]
    survival: ClassVar[Formula]
    quantile: ClassVar[Formula]
    log_cumulative: ClassVar[Formula | None] = None
    log_survival: ClassVar[Formula | None] = None
    """Formulas of (z, *shapes), or of a probability, inside of the support."""

    @classmethod
    def cdf(cls, x: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the probability of values up to ``x``, element by element.

        Parameters
        ----------
        x : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        return cls._apply(cls.cumulative, (0.0, 1.0), x, args, named)

    @classmethod
    def sf(cls, x: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the probability of values above ``x``, accurate in the upper tail.

        Parameters
        ----------
        x : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        return cls._apply(cls.survival, (1.0, 0.0), x, args, named)

    @classmethod
    def logcdf(cls, x: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the logarithm of :meth:`cdf`, element by element.

        Parameters
        ----------
        x : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        formula = cls.log_cumulative or _log_share(cls.cumulative, cls.survival)
        return cls._apply(formula, (-np.inf, 0.0), x, args, named)

    @classmethod
    def logsf(cls, x: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the logarithm of :meth:`sf`, element by element.

        Parameters
        ----------
        x : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        formula = cls.log_survival or _log_share(cls.survival, cls.cumulative)
        return cls._apply(formula, (0.0, -np.inf), x, args, named)

    @classmethod
    def ppf(cls, q: Operand, *args: Operand, **named: Operand) -> Node:
        """Return the quantile of ``q``, the inverse of :meth:`cdf`; NaN unless 0 ≤ q ≤ 1.

        Parameters
        ----------
        q : node, number or array
        *args, **named : node, number or array
            The parameters of the distribution, and then ``loc`` and ``scale``.
        """
        p, shapes, (loc, scale) = cls.nodes_of(q, args, named)
        positive = [] if scale is None else [scale > 0]
        z: Node = cls.quantile(p, *shapes)
        z = z if scale is None else z * scale
        z = z if loc is None else z + loc
        return cls.where_allowed([p >= 0, p <= 1, *cls.allowed(*shapes), *positive], z)
