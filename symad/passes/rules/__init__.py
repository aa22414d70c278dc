"""The rewrite rules, by family; :func:`all_rules` returns them in the order they are tried."""

from __future__ import annotations

from functools import cache

from symad.passes.grade import Grade
from symad.passes.rewrite import RuleSet
from symad.passes.rule import AnyRule


@cache
def all_rules() -> tuple[AnyRule, ...]:
    """Return all rules, by family: the general ones come last.

    Simplifying rules come first, so that later patterns see only one form of a formula: a
    reciprocal is 1/x, a product of a node with itself is a square, signs are outermost.  Rules are
    imported, and their patterns built, when a graph is optimised for the first time.
    """
    from symad.passes.rules import (
        algebra,
        canonicalise,
        fold,
        outer,
        scatters,
        stabilise,
        structures,
        sum_to_matmul,
        views,
    )

    return (
        *fold.FOLD,
        *scatters.SCATTERS,
        *structures.STRUCTURES,
        *canonicalise.IDENTITIES,
        *views.BROADCASTING,
        *views.VIEWS,
        *outer.OUTER,
        *canonicalise.NEUTRAL,
        *stabilise.STABILISE,
        *canonicalise.SIGNS,
        *canonicalise.CHOICES,
        *algebra.POWERS,
        *algebra.FACTORS,
        *views.REDUCTIONS,
        *sum_to_matmul.CONTRACT,
        *algebra.IN_DOMAIN,
    )


@cache
def rules_of_forms() -> tuple[AnyRule, ...]:
    """Return the rules by which :mod:`symad.passes.forms` reads formulas, in order."""
    from symad.passes.rules import algebra, canonicalise, fold, kinks, stabilise

    return (
        *fold.NUMBERS,
        *[rule for rule in canonicalise.IDENTITIES if rule.name != "stop gradient"],
        *canonicalise.NEUTRAL,
        *kinks.KINKS,
        *stabilise.FOR_DERIVATIVES,
        *stabilise.FORMULAS,
        *canonicalise.SIGNS,
        *algebra.POWERS,
        *algebra.FACTORS[:1],
    )


@cache
def rules_of(grade: Grade, without: frozenset[str] = frozenset()) -> RuleSet:
    """Return all rules up to a grade but some, in the order in which they are tried."""
    return RuleSet(r for r in all_rules() if r.grade <= grade and r.name not in without)
