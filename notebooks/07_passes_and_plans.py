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
# A graph is kept as you wrote it until a function runs. Then passes, which are functions from
# graph to graph, rewrite it, and a plan puts the remaining nodes in order.

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
# The expression and its gradient have nine nodes. `f.passes` reports what each pass did with
# them.

# %%
print(f.passes)

# %%
print(f.passes.graph)

# %% [markdown]
# Two ops are left. The function is not only cheaper: the original formula overflows at 800, and
# its derivative is $e^x \cdot \frac{1}{1 + e^x} = \infty \cdot 0$ there.

# %%
with np.errstate(over="ignore", invalid="ignore"):
    print("as written:", np.log(1 + np.exp(800.0)), np.exp(800.0) / (1 + np.exp(800.0)))
print("as compiled:", f(800.0))

# %% [markdown]
# ## Rules
#
# A rule is an equation with a grade. *Exact* rules keep every bit; *rounding* rules hold up to
# rounding, or give a result closer to the true value.

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
# The gradient reuses what the forward part computed, but knows only the nodes as written. A pass
# finds common subexpressions.

# %%
z = sm.Variable("z", shape=(3,))
twice = sm.sin(z) * sm.sin(z)
h = sm.compile([z], [twice, sm.gradients(sm.sum(twice), z)], backend="numpy")
h([0.1, 0.2, 0.3])
print(h.plan)

# %% [markdown]
# The plan is what runs: a schedule over registers, each of which is freed or overwritten after
# the last use of its value. The listing shows it next to the graph and the equivalent NumPy
# source, which can be read, copied and run. Point at a node or at a line.

# %%
sm.listing(h)

# %% [markdown]
# ## What it costs
#
# `sm.cost` lists the nodes, the operations on numbers and the bytes that are read and written,
# after each pass: for the value alone, and with the gradient. A gradient costs a small multiple
# of the function, for any number of inputs; this is the *cheap gradient principle*.

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
# ## What it keeps in memory
#
# Values that the forward part computes and the backward part needs must be kept until then: these
# are the *residuals*, the price of reverse mode. A row is a buffer, a column a step of the plan.

# %%
sm.memory(step, *at)

# %% [markdown]
# ## Where the time goes
#
# The profile shows each instruction, with the line that it comes from:

# %%
sm.profile(step, *at)

# %% [markdown]
# ## Exercises
#
# 1. Find a number x such that NumPy's `log(1 + exp(x))` is infinite, but the compiled function is
#    right.

# %%
from symad.demo.exercises import check

answer = ...
check("passes 1", answer)

# %% [markdown]
# 2. Write a `y` that depends on `x`, with at least three computed nodes, such that the passes
#    leave only `x`. Give `(y, x)`.

# %%
answer = ...
check("passes 2", answer)

# %% [markdown]
# 3. Write a `y` that depends on `x`, in which the same expression is written twice but computed
#    once. Give `(y, x)`.

# %%
answer = ...
check("passes 3", answer)
