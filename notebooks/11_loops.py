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
# # Loops: backpropagation through time is graph extension
#
# A recurrent network applies the same step again and again: $h_t = \tanh(W h_{t-1} + x_t)$. A
# thousand steps are a graph of thousands of nodes, or one node: `sm.scan`, whose *body* is the
# graph of one step.

# %%
import numpy as np

import symad as sm

x = sm.Variable("x", shape=("time", 3))
W = sm.Variable("W", shape=(3, 3))


def step(h, x_t):
    h = sm.tanh(W @ h + x_t)
    return h, sm.sum(h)


h, sums = sm.scan(step, np.zeros(3), x)
loss = sm.sum(h * h)
print(sm.Graph([loss], [x, W]))

# %% [markdown]
# The step takes the *carry* `h` and an element of `x`. It returns the new carry and an output,
# which is stacked. It was called once, with nodes. The node `W` was made outside: the body takes
# it as one more input.
#
# ## The derivative of a loop is a loop
#
# The lecture's algorithm reaches the node of the loop with the adjoint of its results, and asks
# for the adjoints of its inputs. Inside a step, nothing is new: the body is a graph, and its
# extension gives the adjoint of $h_{t-1}$ from that of $h_t$. Repeated from the last step to the
# first, this is backpropagation through time. So the partial adjoints of a loop come from another
# loop, which goes backwards:
#
# $$\lambda_T = \bar h_T, \qquad
#   \lambda_{t-1} = \Big(\frac{\partial h_t}{\partial h_{t-1}}\Big)^{\!\top} \lambda_t, \qquad
#   \bar W = \sum_t \Big(\frac{\partial h_t}{\partial W}\Big)^{\!\top} \lambda_t, \qquad
#   \bar x_t = \Big(\frac{\partial h_t}{\partial x_t}\Big)^{\!\top} \lambda_t$$

# %%
gradient = sm.gradients(loss, W)
sm.draw([loss, gradient])

# %% [markdown]
# Each loop is a frame around the graph of one step. On the left, $v_8$ is the carry $h_{t-1}$:
# in the next step it has the value of $v_{13}$. On the right, the loop goes backwards. Its step is
# the extension of the step on the left, node by node: each adjoint is at the height of its node.
# The carry $v_{15}$ is $\lambda_t$, and $v_{16}$ adds up $\bar W$. What is blue on the right is
# computed again.
#
# For that, the adjoint loop needs each $h_{t-1}$. The loop on the left therefore also returns the
# carries before each step, stacked: the arrow between the two frames says "saved $v_8$". Large
# loops are drawn as one node, and `fold=True` draws all loops like this:

# %%
sm.draw([loss, gradient], fold=True)

# %% [markdown]
# It is an ordinary graph, so we can compile it, feed sequences of any length, and compare it with
# the loop written out.

# %%
f = sm.compile([x, W], [loss, gradient])
rng = np.random.default_rng(0)
weights = rng.normal(size=(3, 3)) * 0.5
short, long = rng.normal(size=(4, 3)), rng.normal(size=(1000, 3))

unrolled = sm.zeros(3)
for t in range(4):
    unrolled, _ = step(unrolled, sm.constant(short[t]))
written_out = sm.gradients(sm.sum(unrolled * unrolled), W)
print(np.abs(f(short, weights)[1] - written_out.eval({W: weights})).max())
print(f(long, weights)[0])

# %% [markdown]
# ## What the compiler does with it
#
# In the adjoint loop, $\tanh'$ of all steps depends on saved values only, and the sum for $W$ needs
# nothing but its terms. Both leave the loop: they are computed for all steps at once, and $\sum_t
# \delta_t h_{t-1}^\top$ is a single matrix product. Only what depends on the step before stays in
# the loops:

# %%
for node in f.passes.graph.nodes:
    if node.op is not None and node.op.name == "scan":
        print(node.op.body, "\n")

# %% [markdown]
# ## Unknown numbers of steps
#
# A `while_loop` runs as long as a condition holds. The number of steps depends on the values, and
# is known only after the loop has run. That is early enough: the loop stores its carries, and the
# adjoint loop goes back through the same number of steps.

# %%
a = sm.Variable("a", shape=())
root = sm.while_loop(
    lambda r: sm.abs(r * r - a) > 1e-12 * a,  # Newton's method for r² = a
    lambda r: (r + a / r) / 2,
    1.0,
)
g = sm.compile([a], [root, sm.gradients(root, a)])
for value in (2.0, 1e6):
    r, slope = g(value)
    print(r, slope, 0.5 / np.sqrt(value))
sm.draw([root, sm.gradients(root, a)])

# %% [markdown]
# The derivative of an iteration is the derivative of the numbers that it computes. They come close
# to the solution, but their derivatives lag one step behind. The derivative of the *solution*
# follows from the equation alone, however it was solved: `sm.root` and `sm.implicit` use the
# implicit function theorem.

# %%
exact = sm.root(lambda r: r * r - a, 1.0)
print(sm.compile([a], sm.gradients(exact, a))(2.0) - 0.5 / np.sqrt(2))

# %% [markdown]
# ## Branches
#
# `sm.where` computes both of its values. `sm.cond` computes only the one that is chosen, and so
# does its derivative.

# %%
s = sm.Variable("s", shape=())
safe = sm.cond(s > 0, lambda: sm.sqrt(s), lambda: 0.0)
h = sm.compile([s], [safe, sm.gradients(safe, s)])
print(h(4.0), h(-1.0))
sm.draw([safe, sm.gradients(safe, s)])

# %% [markdown]
# ## Memory for time
#
# A thousand steps keep a thousand carries. With `checkpoint=True` only about 32 are kept, and the
# steps between two of them are run again when the adjoint loop gets there.

# %%
h, _ = sm.scan(step, np.zeros(3), sm.constant(long), checkpoint=True)
often = sm.compile([W], sm.gradients(sm.sum(h * h), W))
print(np.abs(often(weights) - f(long, weights)[1]).max())
