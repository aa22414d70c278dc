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
# # Eager and lazy: PyTorch's words
#
# PyTorch computes while a program runs; symad builds a graph first. The difference is smaller than
# it seems: an *eager* tensor is a node of a graph whose value is computed as soon as the node is
# made. `symad.demo.eager` is such a tensor, in about 250 lines of code and their documentation.
# Its derivatives come from the gradient pass of the last notebooks; there is no second one.

# %%
import numpy as np

import symad as sm
from symad import demo
from symad.demo import eager
from symad.demo.eager import Tensor

x1 = Tensor(2.0, requires_grad=True, name="x1")
x2 = Tensor(5.0, requires_grad=True, name="x2")
y = eager.log(x1) + x1 * x2 - eager.sin(x2)
y

# %% [markdown]
# `y` has a value, as in PyTorch. It also has a node, the running example of the lecture:

# %%
y.node

# %% [markdown]
# `backward` extends the graph by the adjoints, computes them, and adds them to `grad` of the
# leaves.

# %%
y.backward()
x1.grad, x2.grad

# %% [markdown]
# PyTorch then throws the adjoint nodes away. `create_graph=True` keeps them, and then a gradient
# can be differentiated and drawn like any other value:

# %%
x1.grad = x2.grad = None
y.backward(create_graph=True)
sm.draw([y.node, x1.grad.node, x2.grad.node], {x1.node: 2.0, x2.node: 5.0})

# %%
slope = x1.grad
x1.grad = None
slope.backward()
x1.grad  # ∂²y/∂x1² = -1/x1²

# %% [markdown]
# ## Gradients accumulate
#
# `backward` *adds* to `grad`. If you forget to clear it, you get the sum of all gradients so far:

# %%
w = Tensor([1.0, -2.0, 0.5], requires_grad=True, name="w")
for _ in range(3):
    (w**2).sum().backward()
    print(w.grad)

# %% [markdown]
# This is also useful. The gradient of a sum is the sum of the gradients, so a batch that does not
# fit into memory can be processed in *micro-batches*: each adds its share, and the step is taken
# at the end.

# %%
rows = np.random.default_rng(0).normal(size=(8, 3))


def loss_of(part):
    return ((Tensor(part) @ w) ** 2).sum() / len(rows)


w.grad = None
loss_of(rows).backward()
whole = w.grad

w.grad = None
for start in range(0, len(rows), 2):
    loss_of(rows[start : start + 2]).backward()
print(np.abs((w.grad - whole).numpy()).max())

# %% [markdown]
# ## What no derivative reaches
#
# `detach` returns the value without its history, and inside of `no_grad` no history is kept. New
# weights are computed there, because a step of descent is not a part of the model.

# %%
frozen = (w * 2).detach()
with eager.no_grad():
    w -= 0.1 * w.grad
print(frozen.requires_grad, w)

# %% [markdown]
# A leaf with new data is no longer the leaf that an older result was computed from. A gradient of
# old and new values would be wrong without anybody noticing, so it is an error:

# %%
old = (w * w).sum()
w.data = w.data + 1
try:
    old.backward()
except sm.SymadError as error:
    print(error.message)

# %% [markdown]
# ## A training loop
#
# Digits again, in PyTorch's words. Everything is computed line by line.

# %%
digits = demo.load_digits()
arrays = demo.initial_weights(64, 100, 10)
weights = [Tensor(array, True, name=name) for array, name in zip(arrays, ["W1", "W2"], strict=True)]


def logits_of(images):
    return (images @ weights[0]).relu() @ weights[1]


def loss_on(images, labels):
    scores = logits_of(images)
    right = eager.take_along_axis(scores, labels.reshape(-1, 1), axis=1)
    return (eager.logsumexp(scores, axis=1) - right.reshape(-1)).mean()


for epoch in range(1, 4):
    for start in range(0, len(digits.train_labels), 50):
        part = slice(start, start + 50)
        loss = loss_on(Tensor(digits.train_images[part]), Tensor(digits.train_labels[part]))
        for weight in weights:
            weight.grad = None
        loss.backward()
        with eager.no_grad():
            for weight in weights:
                weight -= 0.2 * weight.grad
    print(f"epoch {epoch}: loss {loss.item():.4f}")

# %% [markdown]
# ## The same code builds a graph
#
# In *lazy* mode nothing is computed. The functions above are called once, with placeholders that
# have a type and no value. What they return is a graph, with its adjoints.

# %%
images = eager.placeholder("X", ("batch", 64), "float32")
labels = eager.placeholder("y", ("batch",), "int64")
for weight in weights:
    weight.grad = None
with eager.lazy():
    loss = loss_on(images, labels)
    loss.backward()
    stepped = [weight - 0.2 * weight.grad for weight in weights]
loss.node

# %% [markdown]
# `eager.compile` makes it a function, which is fed with batches of any size. It computes the same:

# %%
step = eager.compile([images, labels, *weights], [loss, *stepped], name="step")
current = [weight.numpy() for weight in weights]
for epoch in range(4, 7):
    for start in range(0, len(digits.train_labels), 50):
        part = slice(start, start + 50)
        value, *current = step(digits.train_images[part], digits.train_labels[part], *current)
    print(f"epoch {epoch}: loss {value:.4f}")

# %%
step

# %% [markdown]
# What is gained? An eager program pays for each op in each step: a Python call, a new node, an
# array for each intermediate value, and `backward` builds the adjoint nodes again. (PyTorch does
# all this in C++, and pays less for it.) A compiled function has done it once; it also sees the
# whole graph, and fuses, reorders and reuses.

# %%
import timeit

first = slice(0, 50)
batch = digits.train_images[first], digits.train_labels[first]


def by_tensors():
    for weight in weights:
        weight.grad = None
    loss_on(*map(Tensor, batch)).backward()


eager_time = min(timeit.repeat(by_tensors, number=5, repeat=3)) / 5
compiled_time = min(timeit.repeat(lambda: step(*batch, *current), number=5, repeat=3)) / 5
print(f"an eager step takes {eager_time / compiled_time:.0f} times as long as a compiled one")

# %% [markdown]
# What is lost? In eager mode Python's `if` and `while` see values; a graph needs `sm.where`,
# `sm.cond` and `sm.while_loop`. And an error in a value shows up at the line that computed it,
# which `sm.find_nan` has to search for in a graph.
#
# ## The words, side by side
#
# | in PyTorch | on a graph |
# |---|---|
# | a tensor with `requires_grad` | a variable that gradients are asked for |
# | the value of a tensor | the value of a node for one feed |
# | `loss.backward()` | `sm.gradients(loss, leaves)`, and one evaluation |
# | `grad` accumulates | a sum node |
# | `detach()` | `sm.stop_gradient` |
# | `create_graph=True` | adjoints are always nodes |
# | `torch.compile` | `sm.compile` |
#
# ## Exercises
#
# 1. Let `x` be 3. What is `x.grad` after `(x**2).backward()` and `(5 * x).backward()`?

# %%
from symad.demo.exercises import check

answer = ...
check("eager 1", answer)

# %% [markdown]
# 2. Write a function of a tensor `w` and a list of arrays, the micro-batches, after which `w.grad`
#    is the gradient of the mean of `(X @ w)**2` over all rows of all arrays.

# %%
answer = ...
check("eager 2", answer)

# %% [markdown]
# 3. Make a function of `X`, with any number of rows of 3 elements, and of `w`, that returns
#    `w - 0.1 * w.grad` for the loss `((X @ w)**2).mean()`. Use lazy mode and `eager.compile`.

# %%
answer = ...
check("eager 3", answer)
