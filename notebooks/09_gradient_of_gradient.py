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
# # Gradient of gradient
#
# Adjoints are nodes, so they can be differentiated. This requires nothing new: no nested tapes,
# no special mode.

# %%
import numpy as np

import symad as sm

x = sm.Variable("x", shape=())
y = x**3
first = sm.gradients(y, x)
second = sm.gradients(first, x)
third = sm.gradients(second, x)
print(sm.compile([x], [y, first, second, third])(2.0))

# %% [markdown]
# Each node stores the order of the derivative that it belongs to, and a picture shows each order
# in a different colour.

# %%
sm.draw([y, first, second], {x: 2.0})

# %% [markdown]
# The numbers of nodes are:

# %%
from collections import Counter

from symad.graph.traverse import topological_order

generations = Counter(
    node.role.generation if node.role else 0 for node in topological_order([third])
)
print(dict(sorted(generations.items())))

# %% [markdown]
# The passes remove the overhead of differentiation:

# %%
f = sm.compile([x], third, backend="numpy")
f(2.0)
print(len(sm.Graph([third]).nodes), "nodes were built,", len(f.plan.instructions), "run")

# %% [markdown]
# ## A Newton step
#
# $x \leftarrow x - y'(x) / y''(x)$ finds the minimum of $y = e^x - 2x$, which is at $\ln 2$.

# %%
y = sm.exp(x) - 2 * x
slope = sm.gradients(y, x)
curvature = sm.gradients(slope, x)
step = sm.compile([x], x - slope / curvature)
point = 0.0
for k in range(6):
    print(k, f"{point:.15f}", f"error {abs(point - np.log(2)):.1e}")
    point = step(point)

# %% [markdown]
# The number of correct digits doubles with each step.
#
# ## Several variables: the Hessian
#
# Newton's step for a vector solves $H\, d = -\nabla y$. The example is Rosenbrock's valley:

# %%
v = sm.Variable("v", shape=(2,))
valley = (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2
gradient = sm.gradients(valley, v)
hessian = sm.hessian(valley, v)
newton = sm.compile([v], [v - sm.linalg.solve(hessian, gradient), valley])
point = np.array([-1.2, 1.0])
for k in range(7):
    point, height = newton(point)
    print(k, f"{height:.2e}", np.round(point, 6))

# %% [markdown]
# ## Without the Hessian
#
# A Hessian has $n^2$ entries. Its product with a vector costs about as much as a gradient:
# $H v = \nabla \langle \nabla y, v \rangle$ with $v$ held constant.

# %%
n = 10_000
u, direction = sm.Variable("u", shape=(n,)), sm.Variable("direction", shape=(n,))
energy = sm.sum(sm.log(sm.cosh(u[1:] - u[:-1]))) + sm.sum(u**2)
product = sm.hessian_vector_product(energy, u, direction)
h = sm.compile([u, direction], product)
rng = np.random.default_rng(0)
at = {u: rng.normal(size=n), direction: rng.normal(size=n)}
print(h(*at.values())[:4])

# %% [markdown]
# The following numbers of operations are needed for a gradient, for a product with the Hessian,
# and for the Hessian computed as a product for each of its columns:

# %%
gradient = sm.compile([u], sm.gradients(energy, u))
once = sm.cost(h, *at.values()).final.whole.flops
print(f"gradient {sm.cost(gradient, at[u]).final.whole.flops:14,}")
print(f"H v      {once:14,}")
print(f"H        {once * n:14,}")

# %% [markdown]
# ## Exercises
#
# 1. Write a `y` that depends on a number `x` and whose third derivative is 12 everywhere. Give
#    `(y, x)`.

# %%
from symad.demo.exercises import check

answer = ...
check("second order 1", answer)

# %% [markdown]
# 2. Write a function that takes two nodes, `y` and `x`, and returns the node $x - y' / y''$.

# %%
answer = ...
check("second order 2", answer)

# %% [markdown]
# 3. Write a function that takes three nodes, `y`, `x` and `v`, and returns $H v$ as a node,
#    without `sm.hessian` and without `sm.hessian_vector_product`.

# %%
answer = ...
check("second order 3", answer)
