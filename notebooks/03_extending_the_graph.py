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
# # Extending the graph
#
# Reverse mode can run *on* a graph, number by number, and forget everything: that is
# backpropagation. Or it can *extend* the graph with new nodes and compute nothing. This notebook
# follows the second way on $f = (e^{v_1} + 1)\, e^{v_1}$, one step at a time.

# %%
import symad as sm

v1 = sm.Variable("v1")
v2 = sm.exp(v1)
v3 = v2 + 1
v4 = v2 * v3
print(sm.Graph([v4]))

# %% [markdown]
# $v_2$ is used twice, so there are two pathways from $v_1$ to $v_4$, and
#
# $$\bar v_i = \sum_{j \in \mathrm{next}(i)} \bar v_{i \to j}, \qquad
#   \bar v_{k \to i} = \bar v_i\, \frac{\partial v_i}{\partial v_k}.$$
#
# The algorithm keeps, for each node, the list of partial adjoints that its users have left:
#
#     node_to_grad = {out: [seed]}
#     for i in reverse topological order:
#         v̄_i = sum of node_to_grad[i]
#         for k in inputs of i:
#             v̄_{k→i} = v̄_i · ∂v_i/∂v_k ; append it to node_to_grad[k]
#
# `sm.extend` does just this, and keeps a record of each step.

# %%
from symad.autodiff.record import Propagated, Summed, Visit

record = sm.extend(v4, [v1])
names = {v1: "v1", v2: "v2", v3: "v3", v4: "v4"}
for step in record.steps:
    match step:
        case Visit(node, contributions):
            print(f"visit {names[node]}: {len(contributions)} partial adjoint(s) are there")
        case Summed(node, adjoint):
            print(f"    its adjoint is the node {adjoint.op.name}")
        case Propagated(edge, product, _):
            print(f"    to {names[edge.source]}: the node {product.op.name}")

# %% [markdown]
# Nothing has been computed. Six nodes are new: the seed, two products for the edges into $v_4$, the
# *identity* for the edge into $v_3$ (its local derivative is 1, and an edge gets a node of its
# own), the *sum* for $v_2$, and the product for $v_1$, which uses $v_2$ again.

# %%
g = record.adjoints[v1]
sm.draw([v4, g])

# %% [markdown]
# ## What the nodes know
#
# Each new node knows what it is for: the edge whose partial adjoint it is, or the node whose sum.

# %%
for edge, partial in record.partials.items():
    ends = f"{names[edge.source]} → {names[edge.consumer]}"
    print(f"{ends}: {partial.op.name:10} {partial.role.kind.value}")

# %% [markdown]
# ## Why this order?
#
# A node's adjoint may be handed on only when *all* its users have left their part. Take a chain of
# doublings, $v_{k+1} = v_k + v_k$, and hand on each part as soon as it is there:


# %%
def depth_first(y):
    """Hand each partial adjoint on at once; count the visits."""
    visits, pending, adjoints = 0, [(y, 1.0)], {}
    while pending:
        node, part = pending.pop()
        visits += 1
        adjoints[node] = adjoints.get(node, 0.0) + part
        pending += [(source, part) for source in node.inputs]
    return visits, adjoints


a = sm.Variable("a")
y = a
for _ in range(15):
    y = y + y
visits, adjoints = depth_first(y)
print(f"one part at a time: {visits} visits; the adjoint of a is {adjoints[a]}")
in_order = sm.extend(y, [a])
print(f"in order: {len(in_order.adjoints)} visits; it is {in_order.adjoints[a].eval({a: 1.0})}")

# %% [markdown]
# Every path is walked on its own: $2^{16} - 1$ visits instead of 16. And if each node were visited
# the first time only, the adjoint would be wrong: parts that come later would be lost.

# %% [markdown]
# ## What the extension is good for
#
# The extended graph is a graph like any other. It is compiled once and takes new inputs; it can be
# optimised, forward and backward parts together; and it can be differentiated again.

# %%
f = sm.compile([v1], [v4, g])
print(f(0.0), f(1.0))
print("second derivative at 0:", sm.gradients(g, v1).eval({v1: 0.0}), "= 4 + 1")

# %% [markdown]
# ## Exercises
#
# 1. How many nodes did the extension add to $f$?

# %%
from symad.demo.exercises import check

answer = ...
check("extending 1", answer)

# %% [markdown]
# 2. For $y = \sin x \cdot e^x$, give `(y, x, order)` with a list of all nodes from `y` down to `x`
#    in which each node comes after all its users.

# %%
answer = ...
check("extending 2", answer)

# %% [markdown]
# 3. Write some `y` of `x` whose partial adjoints are identity nodes, all of them. Give `(y, x)`.

# %%
answer = ...
check("extending 3", answer)
