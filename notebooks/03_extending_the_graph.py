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
# Reverse mode can run *on* a graph and return only numbers: this is backpropagation. Or it can
# *extend* the graph with new nodes and compute nothing. This notebook follows the second approach
# on $f = (e^{v_1} + 1)\, e^{v_1}$, one step at a time.

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
# For each node, the algorithm keeps the list of partial adjoints that its users have contributed:
#
#     node_to_grad = {out: [seed]}
#     for i in reverse topological order:
#         v̄_i = sum of node_to_grad[i]
#         for k in inputs of i:
#             v̄_{k→i} = v̄_i · ∂v_i/∂v_k ; append it to node_to_grad[k]
#
# `sm.gradients` implements exactly this. The player shows it: the current node is highlighted,
# and the table `node_to_grad` fills.

# %%
g = sm.gradients(v4, v1)
sm.play(v4, v1, {v1: 0.5})

# %% [markdown]
# This needed no numbers. Six nodes are new: the seed, two products for the edges into $v_4$, the
# *identity* for the edge into $v_3$ (its local derivative is 1, and each edge gets its own node),
# the *sum* for $v_2$, and the product for $v_1$, which uses $v_2$ again.

# %%
sm.draw([v4, g])

# %% [markdown]
# `sm.explain` describes the same in words: each edge with its rule, the reason for each identity
# or sum, and what the compiler does with them.

# %%
sm.explain(v4, v1, {v1: 0.5})

# %% [markdown]
# ## What the nodes know
#
# Each new node stores its purpose: the edge whose partial adjoint it is, or the node whose sum it
# is. `sm.extend` returns the full record.

# %%
record = sm.extend(v4, v1)
names = {v1: "v1", v2: "v2", v3: "v3", v4: "v4"}
for edge, partial in record.partials.items():
    ends = f"{names[edge.source]} → {names[edge.consumer]}"
    print(f"{ends}: {partial.op.name:10} {partial.role.kind.value}")

# %% [markdown]
# ## Why this order?
#
# The adjoint of a node may be passed on only after *all* its users have contributed their parts.
# As an example, take a chain of doublings, $a = 1$, $b = a + a$, $c = b + b$, and so on, and walk
# back through it in three orders. The first visits each node after all its users, the second
# visits each node when it is first reached, and the third passes each part on as soon as it
# arrives.

# %%
from symad import demo

demo.compare_orders()

# %% [markdown]
# Depth first is wrong: contributions that arrive at a node after its visit are lost. Passing
# parts on at once is right, but walks every path separately, and the number of paths doubles with
# each step.

# %%
a, y = demo.doubling_chain(15)
orders = demo.compare_orders(y, {a: 1.0})
print("in order:", orders.topological.total, "visits; at once:", orders.at_once.total)

# %% [markdown]
# ## Numbers or nodes
#
# Backpropagation takes the same walk with numbers: it runs *on* the graph, makes no nodes, and
# returns numbers. Side by side, on the running example:

# %%
demo.compare_with_extension()

# %% [markdown]
# ## Advantages of the extension
#
# The second table shows the advantages. The extended graph is a graph like any other: it is
# compiled once and takes new inputs; it can be optimised, forward and backward parts together;
# and it can be differentiated again.

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
# 3. Write a `y` that depends on `x` such that all its partial adjoints are identity nodes. Give
#    `(y, x)`.

# %%
answer = ...
check("extending 3", answer)
