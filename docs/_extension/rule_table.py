"""The rewrite rules: name, equation, and how exactly each holds."""

from __future__ import annotations

from symad.passes.rules import all_rules

_HEAD = """# The rewrite rules

All {count} rules, in the order in which they are tried at a node; the first that applies is
used. Grades: *exact* rules keep every bit, NaN and infinities included; *rounding* rules hold
up to rounding, or come nearer to the true value; both are used unless `sm.compile(...,
rewrites="exact")` asks for the first only. *Finite* rules do not hold at infinities or outside
the domain, and are never used unasked. Each has tests of its graph, its numbers and its
derivatives.

| rule | equation | grade |
|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    rows = [
        f"| {rule.name} | ``{rule.equation}`` | {rule.grade.name.lower()} |".replace("||", r"\|\|")
        for rule in all_rules()
    ]
    return _HEAD.format(count=len(rows)) + "\n".join(rows) + "\n"
