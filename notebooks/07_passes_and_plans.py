# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Passes and plans
#
# What you wrote is kept as you wrote it, until a function runs. Then passes rewrite the graph, each
# a function from graph to graph, and a plan puts what is left in order.

# %%
import numpy as np

import symad as sm

x = sm.Variable("x")
y = sm.log(1 + sm.exp(x))
g = sm.gradients(y, x)
print(sm.Graph([y, g]))

# %%
f = sm.compile([x], [y, g])
f(1.0)

# %% [markdown]
# Nine nodes were written. `f.passes` tells what became of them.

# %%
print(f.passes)

# %%
print(f.passes.graph)

# %% [markdown]
# Two ops are left. This is more than thrift: as it was written, the value overflows at 800, and the
# derivative is $e^x \cdot \frac{1}{1 + e^x} = \infty \cdot 0$ there.

# %%
with np.errstate(over="ignore", invalid="ignore"):
    print("as written:", np.log(1 + np.exp(800.0)), np.exp(800.0) / (1 + np.exp(800.0)))
print("as compiled:", f(800.0))

# %% [markdown]
# ## Rules
#
# A rule is an equation with a grade. *Exact* rules keep every bit; *rounding* rules hold up to
# rounding, or come nearer to the true value.

# %%
from symad.passes.rules import all_rules

used = {name for report in f.passes.reports for name in report.rules}
for rule in all_rules():
    if rule.name in used:
        print(f"{rule.grade.name.lower():9} {rule.equation}")

# %% [markdown]
# `rewrites="exact"` allows only the first kind.

# %%
exact = sm.compile([x], [y, g], rewrites="exact")
with np.errstate(all="ignore"):
    print(exact(800.0))

# %% [markdown]
# ## Sharing
#
# The gradient uses again what the forward part computed, but knows only the nodes that were
# written. Common subexpressions are found by a pass.

# %%
z = sm.Variable("z", shape=(3,))
twice = sm.sin(z) * sm.sin(z)
h = sm.compile([z], [twice, sm.gradients(sm.sum(twice), z)], backend="numpy")
h([0.1, 0.2, 0.3])
print(h.plan)

# %% [markdown]
# The plan is what runs: a schedule over registers, each freed or written over when its value has
# had its last use. Here it is beside the graph and the same as NumPy source, which can be read,
# copied and run. Point at a node or at a line.

# %%
sm.listing(h)

# %% [markdown]
# ## What it costs
#
# A ledger has the nodes, the operations on numbers and the bytes that are read and written, after
# each pass: for the value alone, and with the gradient. A gradient costs a small multiple of the
# function, whatever the number of inputs; that is the *cheap gradient principle*.

# %%
X, W1, W2 = (
    sm.Variable("X", shape=("batch", 64)),
    sm.Variable("W1", shape=(64, 30)),
    sm.Variable("W2", shape=(30, 10)),
)
loss = sm.mean(sm.tanh(sm.tanh(X @ W1) @ W2) ** 2)
step = sm.compile([X, W1, W2], [loss, *sm.gradients(loss, [W1, W2])], backend="numpy", name="step")
rng = np.random.default_rng(0)
at = [rng.normal(size=shape) for shape in ((100, 64), (64, 30), (30, 10))]
sm.cost(step, *at)

# %% [markdown]
# ## What it keeps
#
# What the forward part makes and the backward part needs again has to be kept meanwhile: these are
# the *residuals*, the price of reverse mode. A row is a buffer, a column a step of the plan.

# %%
sm.memory(step, *at)

# %% [markdown]
# ## Where the time goes
#
# Each instruction, with the line that it comes from:

# %%
sm.profile(step, *at)

# %% [markdown]
# ## Exercises
#
# 1. Find a number x for which NumPy's `log(1 + exp(x))` is infinite, and the compiled one is right.

# %%
from symad.demo.exercises import check

answer = ...
check("passes 1", answer)

# %% [markdown]
# 2. Write some `y` of `x`, of three computed nodes or more, of which the passes leave only `x`.
#    Give `(y, x)`.

# %%
answer = ...
check("passes 2", answer)

# %% [markdown]
# 3. Write some `y` of `x` in which the same expression is written twice and computed once. Give
#    `(y, x)`.

# %%
answer = ...
check("passes 3", answer)
