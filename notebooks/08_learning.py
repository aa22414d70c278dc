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
# # Learning handwritten digits
#
# A model is a graph, its gradient extends the graph, and one compiled function performs a
# training step. The models are in `symad.demo.models`, the loops in `symad.demo.training`; both
# are short.

# %%
import numpy as np

import symad as sm
from symad import demo

digits = demo.load_digits()
digits.train_images.shape, digits.held_out_images.shape

# %% [markdown]
# ## The loss
#
# The softmax loss is the mean over the batch of $\log \sum_k \exp z_k - z_y$. An untrained
# network that gives each of ten classes the same score has the loss $\ln 10$:

# %%
float(demo.softmax_loss(sm.zeros((4, 10)), sm.constant([3, 1, 4, 1])).eval())

# %% [markdown]
# ## A network with regularisation, as a graph
#
# $J = L + \frac{\lambda}{2} \left(\|W_1\|^2 + \|W_2\|^2\right)$ with $z = W_1 x$, $h =
# \mathrm{ReLU}(z)$ and $o = W_2 h$. Squares are variables, circles are operations.

# %%
columns = [weights.T for weights in demo.initial_weights(64, 30, 10)]
regularised = demo.regularised_network(*columns, strength=0.01)
sm.draw(regularised.loss)

# %% [markdown]
# The weights are used twice, so their adjoints are sums: $\bar W_2 = \bar O h^\top + \lambda W_2$
# and $\bar W_1 = \bar Z x^\top + \lambda W_1$. Every adjoint is a node, so the formula can be
# written with $\bar O$ itself and compared with the result of the gradient pass.

# %%
record = sm.extend(regularised.loss, regularised.parameters)
w2 = regularised.parameters[1]
h = regularised.logits.inputs[0].inputs[1]
o_adjoint = record.adjoints[regularised.logits].T
f = sm.compile(
    [regularised.images, regularised.labels],
    [record.adjoints[w2], o_adjoint @ h.T + 0.01 * w2],
)
by_symad, by_hand = f(digits.train_images[:20].T, digits.train_labels[:20])
print("largest difference:", np.abs(by_symad - by_hand).max())
assert np.allclose(by_symad, by_hand, rtol=1e-5, atol=1e-7)

# %% [markdown]
# ## Stochastic gradient descent
#
# The step is compiled once. It takes batches of any size: 1438 digits make 28 batches of 50 and one
# of 38.

# %%
model = demo.two_layer_network(*demo.initial_weights(64, 100, 10))
step = demo.gradient_step(model, learning_rate=0.2)
right = sm.compile([model.images, model.labels], demo.accuracy(model.logits, model.labels))
for epoch in range(1, 21):
    loss = demo.run_epoch(step, digits.train_images, digits.train_labels, batch=50)
    if epoch % 5 == 0:
        held_out = right(digits.held_out_images, digits.held_out_labels)
        print(f"epoch {epoch:2}: loss {loss:.4f}, held out {held_out:.1%} right")

# %% [markdown]
# ## Layers, and full batches
#
# This is the same network written in layers: softmax, logarithm, cross-entropy. A column of ones
# turns a row of $W_1$ into the bias.

# %%
layered = demo.layered_network(*demo.initial_weights(65, 100, 10))
images = demo.with_ones(digits.train_images)
history = demo.full_batch_descent(
    layered, images, digits.train_labels, learning_rate=0.5, epochs=10
)

# %% [markdown]
# ## When a NaN occurs
#
# The entropy $-\sum_k p_k \ln p_k$ of these probabilities measures how certain the network is. In
# this form, it is NaN as soon as one of them is 0, and so is its gradient.

# %%
p = sm.Variable("p", shape=("n", 10))
entropy = -sm.sum(p * sm.log(p))
certain = np.eye(10)[:2]
sm.find_nan(entropy, {p: certain})

# %% [markdown]
# `find_nan` names the node, its arguments, the line, and a remedy. The remedy works:

# %%
entropy = -sm.sum(sm.where(p > 0, p * sm.log(p), 0))
sm.find_nan([entropy, sm.gradients(entropy, p)], {p: certain})

# %% [markdown]
# ## Logistic regression, with an executor
#
# Is the digit a zero? Here the weights are variables of a Python loop, and are fed like all other
# inputs.

# %%
weights, losses = demo.logistic_regression(
    digits.train_images.astype(np.float64), (digits.train_labels == 0).astype(np.float64)
)
is_zero = digits.held_out_images @ weights > 0
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f};", end=" ")
print(f"{np.mean(is_zero == (digits.held_out_labels == 0)):.1%} right on digits held out")

# %% [markdown]
# ## Exercises
#
# 1. What is the softmax loss of a classifier of 100 classes that gives each class the same score?

# %%
from symad.demo.exercises import check

answer = ...
check("digits 1", answer)

# %% [markdown]
# 2. How many weights does the 785-100-10 network have?

# %%
answer = ...
check("digits 2", answer)

# %% [markdown]
# 3. Write a NumPy function that takes logits, (n, k), and labels, (n,), and returns the gradient
#    of the mean softmax loss.

# %%
answer = ...
check("digits 3", answer)
