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
# # Tensors and broadcasting
#
# The adjoint of a node has the shape of the node. Many rules can be guessed from this fact alone,
# and this notebook checks that the guesses are right.

# %%
import numpy as np

import symad as sm

X = sm.Variable("X", shape=("batch", 784))
W = sm.Variable("W", shape=(784, 10))
Z = X @ W
Z.type

# %% [markdown]
# ## Products of matrices
#
# Let $Z = X W$, and let $\bar Z$ have the shape of $Z$. $\bar X$ must have the shape `(batch,
# 784)`, and only $\bar Z W^\top$ does. In the same way, $\bar W = X^\top \bar Z$.

# %%
v = sm.sum(sm.sin(Z))
X_adjoint, W_adjoint = sm.gradients(v, [X, W])
print(X_adjoint.type, W_adjoint.type)
print(sm.Graph([v, X_adjoint, W_adjoint]))

# %% [markdown]
# The batch has a name and no size. No rule needs the size: the same graph serves all batches.

# %%
rng = np.random.default_rng(0)
f = sm.compile([X, W], [v, W_adjoint])
weights = rng.normal(size=(784, 10)) / 28
for batch in (1, 50):
    value, gradient = f(rng.normal(size=(batch, 784)), weights)
    print(batch, f"{value:.4f}", gradient.shape)

# %% [markdown]
# ## Broadcasting
#
# In $Z + b$, the row $b$ is repeated for each row of the batch. In the backward part, the
# adjoints of the copies are added up: $\bar b = \sum_{\text{rows}} \bar Z$. The rule of `add`
# does not handle this. The driver detects that the shape of the partial adjoint differs from that
# of $b$, and inserts a repair after it.

# %%
b = sm.Variable("b", shape=(10,))
layer = Z + b
b_adjoint = sm.gradients(sm.sum(sm.sin(layer)), b)
print(b_adjoint, b_adjoint.role.kind.value, "of", b_adjoint.inputs[0])

# %% [markdown]
# The same holds for axes of size 1, for added leading axes, and for scalars:

# %%
big = sm.Variable("big", shape=(2, 3, 4))
for shape in [(3, 1), (4,), (1, 1, 1), ()]:
    small = sm.Variable("small", shape=shape)
    print(shape, "->", sm.gradients(sm.sum(big * small), small).type)

# %% [markdown]
# Products of stacks broadcast, too: if one matrix multiplies a whole stack, its adjoint is a sum
# over the stack.

# %%
stack, one = sm.Variable("stack", shape=(5, 2, 3)), sm.Variable("one", shape=(3, 4))
print((stack @ one).type, "->", sm.gradients(sm.sum(stack @ one), one).type)

# %% [markdown]
# `sm.explain` gives the reason for each repair:

# %%
at = {X: rng.normal(size=(50, 784)), W: weights, b: np.zeros(10)}
sm.explain(sm.sum(sm.sin(layer)), b, at)

# %% [markdown]
# ## Unknown shapes
#
# `Variable("x")` declares no shape. The repair is then a node that reads shapes at run time.
# When the graph is specialised for the fed shapes, the repair becomes a sum, or disappears.

# %%
x, c = sm.Variable("x"), sm.Variable("c")
y = x * c
g = sm.gradients(y, c)
print(sm.Graph([g]))

# %%
h = sm.compile([x, c], g, backend="numpy")
print(h([1.0, 2.0, 3.0], 10.0))
print([step.node.op.name for step in h.plan.instructions], "for a vector and a number")
print(h([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
print([step.node.op.name for step in h.plan.instructions], "for two vectors")

# %% [markdown]
# ## Sums, reshapes, transposes
#
# Each of these is reversed: the adjoint of a sum is broadcast back, that of a reshape is reshaped
# back, and that of a transpose is transposed back. The rule for a sum must know which axis was
# summed; a guess from the sizes would be wrong for a square matrix. A trace shows values,
# tangents and adjoints of arrays, with the norm of each.

# %%
m = sm.Variable("m", shape=(2, 3))
s = sm.sum(sm.sum(m, axis=0) ** 2)
sm.trace(s, {m: [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})

# %% [markdown]
# ## Exercises
#
# 1. What is the shape of the adjoint of `b` in `X @ W + b`, where X is (50, 784), W is (784, 10)
#    and b is (10,)?

# %%
from symad.demo.exercises import check

answer = ...
check("tensors 1", answer)

# %% [markdown]
# 2. Write a function of two arrays, $X$ and $\bar Z$, that returns $\bar W$ for $Z = X W$.

# %%
answer = ...
check("tensors 2", answer)

# %% [markdown]
# 3. `c` is (4, 1), `a` is (4, 3). Write a function that takes the adjoint of `a + c`, a (4, 3)
#    array, and returns the adjoint of `c`.

# %%
answer = ...
check("tensors 3", answer)
