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
# # Compile once, feed many
#
# Extending a graph takes work once. The benefit is one function, forward and backward parts
# together, that takes new inputs again and again.

# %%
import timeit

import numpy as np

import symad as sm

x1, x2 = sm.Variable("x1"), sm.Variable("x2")
y = sm.log(x1) + x1 * x2 - sm.sin(x2)
f = sm.compile([x1, x2], sm.value_and_gradients(y, [x1, x2]), name="f")
f

# %%
f(2.0, 5.0)

# %% [markdown]
# The first call has made a program for the shapes of its arguments. Calls with the same shapes
# run this program:

# %%
seconds = min(timeit.repeat(lambda: f(2.0, 5.0), number=10_000, repeat=3)) / 10_000
print(f"{seconds * 1e6:.2f} µs a call")

# %% [markdown]
# Backpropagation, as in notebook 3, walks the graph again for each new input:

# %%
from symad.demo import backpropagate

at = {x1: 2.0, x2: 5.0}
seconds = min(timeit.repeat(lambda: backpropagate(y, at), number=100, repeat=3)) / 100
print(f"{seconds * 1e6:.0f} µs for the same")

# %% [markdown]
# Other shapes get their own programs, which takes some milliseconds once. The graph is the same;
# nothing is differentiated again.

# %%
a = np.linspace(1, 2, 1000)
value, (g1, g2) = f(a, a)
print(value.shape, g1.shape, np.allclose(g1, 1 / a + a))

# %% [markdown]
# ## Named sizes
#
# A named size may have any value, but the value must be the same everywhere.

# %%
X = sm.Variable("X", shape=("batch", 3))
t = sm.Variable("t", shape=("batch",))
w = sm.Variable("w", shape=(3,))
loss = sm.mean((X @ w - t) ** 2)
g = sm.compile([X, t, w], sm.value_and_gradients(loss, w))
for batch in (2, 5):
    print(batch, g(np.ones((batch, 3)), np.zeros(batch), np.ones(3)))

# %%
try:
    g(np.ones((2, 3)), np.zeros(5), np.ones(3))
except sm.SymadError as error:
    print(error)

# %% [markdown]
# ## Executors
#
# An executor takes a dictionary. Any node may be fed, not only variables; the nodes that it
# depends on are then not computed.

# %%
executor = sm.Executor([y, *sm.gradients(y, [x1, x2])])
print(executor.run({x1: 2.0, x2: 5.0}))
logarithm = y.inputs[0].inputs[0]
print(sm.Executor(y).run({logarithm: 0.0, x1: 2.0, x2: 5.0}))

# %% [markdown]
# ## Parameters
#
# A parameter is a value that a function updates. All updates happen together after everything has
# been computed. If an error occurs, none of them happens.

# %%
weights = sm.parameter("weights", np.zeros(3))
loss = sm.mean((X @ weights - t) ** 2)
step = sm.compile([X, t], loss, updates={weights: weights - 0.1 * sm.gradients(loss, weights)})
rng = np.random.default_rng(0)
data = rng.normal(size=(100, 3))
for _ in range(50):
    last = step(data, data @ [1.0, -2.0, 0.5])
print(f"{last:.2e}", np.round(weights.value, 2))

# %% [markdown]
# ## Writing into existing arrays
#
# `out=` says where results are written: here the value, but not the derivatives. No new array is
# allocated for it.

# %%
place = np.empty(1000)
value, (g1, g2) = f(a, a, out=(place, [None, None]))
print(value is place)

# %% [markdown]
# ## Saving a function
#
# A compiled function can be pickled. It is compiled again when it is loaded. Loading a pickle runs
# the code in it, so load only your own; `sm.save` and `sm.load` use files of data.

# %%
import pickle

again = pickle.loads(pickle.dumps(f))
print(again(2.0, 5.0))

# %% [markdown]
# ## Exercises
#
# 1. Compile a function of x that returns a list: $\tanh(x)^2$ and its derivative.

# %%
from symad.demo.exercises import check

answer = ...
check("compiling 1", answer)

# %% [markdown]
# 2. Compile one function of `X`, with any number of rows and 3 columns, and `w`, with 3 numbers,
#    that returns the mean of `X @ w`.

# %%
answer = ...
check("compiling 2", answer)

# %% [markdown]
# 3. Give `(step, w)`: a parameter `w`, and a compiled function without inputs that returns the
#    old value of `w` and halves it.

# %%
answer = ...
check("compiling 3", answer)
