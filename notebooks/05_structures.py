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
# # Structures
#
# A value of a graph may be a dict, a list or a tuple. Its adjoint then has the same form: with $d
# = \{\text{cat}: a_0, \text{dog}: a_1\}$, $b = d[\text{cat}]$ and $v = f(b)$,
#
# $$\bar b = \bar v\, \frac{\partial v}{\partial b}, \qquad \bar d = \{\text{cat}: \bar b\}.$$

# %%
import symad as sm

a0, a1 = sm.Variable("a0"), sm.Variable("a1")
d = sm.structure({"cat": a0, "dog": a1})
b = d["cat"]
v = sm.square(b)
d.type

# %%
record = sm.extend(v, [a0])
print(record.adjoints[d])
print(sm.Graph([record.adjoints[d]]))

# %% [markdown]
# "dog" was not used, so its item is *absent*. Absent means zero, without a node for it.

# %%
sm.draw([v, record.adjoints[a0]])

# %% [markdown]
# ## Unused is an error by default
#
# A zero gradient is more often a mistake than intended.

# %%
try:
    sm.gradients(v, [a0, a1])
except sm.SymadError as error:
    print(error)

# %%
zero = sm.gradients(v, [a0, a1], unused="zero")
print(sm.compile([a0, a1], zero)(3.0, 1.0))
print(sm.gradients(v, [a0, a1], unused="none"))

# %% [markdown]
# ## Used twice: sums of structures
#
# Where a structure has several users, the sum node adds item by item.

# %%
w = sm.square(d["cat"]) * d["dog"] + sm.sin(d["cat"])
record = sm.extend(w, [a0, a1])
print(record.adjoints[d], "of", len(record.adjoints[d].inputs), "structures")
sm.trace(w, {a0: 2.0, a1: 3.0})

# %% [markdown]
# ## Structures as inputs and outputs
#
# `gradients` and `compile` take structures of nodes and return results in the same form. So a
# model with its weights in a dict needs no extra code.

# %%
weights = {
    "hidden": [sm.Variable("W", shape=(3, 4)), sm.Variable("b", shape=(4,))],
    "scale": sm.Variable("s", shape=()),
}
x = sm.Variable("x", shape=("n", 3))
loss = sm.mean(sm.tanh(x @ weights["hidden"][0] + weights["hidden"][1])) * weights["scale"]
gradients = sm.gradients(loss, weights)
gradients

# %%
import numpy as np

f = sm.compile([x, weights], {"loss": loss, "gradients": gradients})
result = f(np.ones((5, 3)), {"hidden": [np.eye(3, 4), np.zeros(4)], "scale": 2.0})
print(f"{result['loss']:.4f}", result["gradients"]["hidden"][0].shape)

# %% [markdown]
# ## Exercises
#
# 1. `d` holds x, y and z under the keys "a", "b" and "c". For which keys is the gradient of
#    `sm.exp(d["a"]) * d["c"]` not zero? Give them as a list.

# %%
from symad.demo.exercises import check

answer = ...
check("structures 1", answer)

# %% [markdown]
# 2. Give a pair `(y, xs)` such that `xs` is a dict of variables, one of its items is a list, and
#    `sm.gradients(y, xs)` works.

# %%
answer = ...
check("structures 2", answer)

# %% [markdown]
# 3. Compile a function of a vector x that returns `{"value": Σ x², "gradient": 2x}`.

# %%
answer = ...
check("structures 3", answer)
