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
# # The running example
#
# $$y = \ln(x_1) + x_1 x_2 - \sin(x_2) \quad\text{at}\quad x_1 = 2,\ x_2 = 5$$
#
# This notebook treats the example in four steps: it builds the graph, *extends* the graph by the
# gradient, shows the steps of all three traces side by side, and compiles everything once to call
# it many times.

# %%
import symad as sm

x1, x2 = sm.Variable("x1"), sm.Variable("x2")
y = sm.log(x1) + x1 * x2 - sm.sin(x2)
y

# %% [markdown]
# Nothing has been computed. `y` is a node: an op and its input nodes. This is the whole graph;
# each node comes after its inputs.

# %%
print(sm.Graph([y]))

# %% [markdown]
# `eval` computes the value at one point:

# %%
y.eval({x1: 2.0, x2: 5.0})

# %% [markdown]
# ## The gradient extends the graph
#
# Reverse mode visits the nodes in reverse topological order. At node $i$, it sums the partial
# adjoints that the users of $v_i$ have contributed, and then contributes a partial adjoint to
# each input $k$:
#
# $$\bar v_i = \sum_{j \in \mathrm{next}(i)} \bar v_{i \to j}, \qquad
#   \bar v_{k \to i} = \bar v_i\, \frac{\partial v_i}{\partial v_k}$$
#
# Each of these is a node. This step computes nothing either.

# %%
g1, g2 = sm.gradients(y, [x1, x2])
print(sm.Graph([y, g1, g2]))

# %% [markdown]
# The picture shows the same graph, with the expression on one side and its adjoints on the other.
# If a point is given, the picture shows the numbers there.

# %%
at = {x1: 2.0, x2: 5.0}
sm.draw([y, g1, g2], at)

# %% [markdown]
# The player shows how the picture is built, step by step: first the nodes of the expression, then
# the backward walk, then the numbers, then the work of the compiler. Press play, or use the arrow
# keys; the sliders change $x_1$ and $x_2$. `sm.play(...).save("lecture.html")` writes a page that
# works anywhere, without a network.

# %%
sm.play(y, [x1, x2], at)

# %% [markdown]
# ## Three traces, side by side
#
# Values are computed from the inputs to $y$, tangents $\dot v_i = \partial v_i / \partial x_1$ in
# the same order, and adjoints $\bar v_i = \partial y / \partial v_i$ in the opposite order.
# Forward mode needs one pass for each input, reverse mode one for each output.

# %%
sm.trace(y, at)

# %% [markdown]
# $\bar v_2$ has two terms, because $x_2$ is used twice: $x_1$ from the product and $-\cos x_2$
# from the sine. One of them alone would be wrong:

# %%
import math

print(2.0 - math.cos(5.0), "and not", -math.cos(5.0))

# %% [markdown]
# ## Compiled once, called many times
#
# Backpropagation walks the graph again for each new input. An extended graph is compiled once;
# the result is a function like any other.

# %%
f = sm.compile([x1, x2], [y, g1, g2])
for a, b in [(2.0, 5.0), (1.0, 0.5), (3.0, -1.0)]:
    print(a, b, "->", *(f"{value:.3f}" for value in f(a, b)))

# %% [markdown]
# The variables have no declared shape, so the same function takes arrays too.

# %%
f([2.0, 1.0, 3.0], [5.0, 0.5, -1.0])

# %% [markdown]
# An `Executor` takes a dictionary instead, and any node may be fed. Here, $v_3 = \ln x_1$ is fed,
# so its value is not computed.

# %%
v3 = y.inputs[0].inputs[0]
sm.Executor(y).run({v3: 0.0, x1: 2.0, x2: 5.0})

# %% [markdown]
# ## Second derivatives
#
# Adjoints are ordinary nodes, so the gradient of a gradient needs nothing new: $\partial^2 y /
# \partial x_1^2 = -1/x_1^2$.

# %%
sm.gradients(g1, x1).eval(at)

# %% [markdown]
# ## Exercises
#
# 1. Give the two terms of $\bar v_2$ at (2, 5), as a pair of numbers with at least three digits
#    after the point. Use Python to compute them.

# %%
from symad.demo.exercises import check

answer = ...
check("running 1", answer)

# %% [markdown]
# 2. Find a point $(x_1, x_2)$ where $y$ does not change with $x_1$, to first order.

# %%
answer = ...
check("running 2", answer)

# %% [markdown]
# 3. Write a `y` that depends on `x` such that the adjoint of `x` is a sum of three partial
#    adjoints. Give `(y, x)`.

# %%
answer = ...
check("running 3", answer)
