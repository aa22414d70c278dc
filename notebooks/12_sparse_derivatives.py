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
# # Sparse derivatives: an optimal control problem from start to finish
#
# Most elements of large Jacobians and Hessians are zero: an equation in step 7 of a simulation does
# not mention step 50. symad finds out which elements can differ from zero, computes all of them by
# a few products with vectors, and returns them as a SciPy sparse matrix.
#
# ## The pattern of a Jacobian

# %%
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

import symad as sm

x = sm.Variable("x", shape=(12,))
y = (sm.sin(x[1:]) - x[:-1] ** 2) * x[1:]
pattern = sm.sparsity(y, x)
print(pattern)
pattern

# %% [markdown]
# The pattern follows from the graph alone. Each op is run on *sets of positions* in place of
# numbers: `x[1:]` moves the sets as it moves elements, and a product joins the sets of its
# operands.
#
# ## Colours
#
# A product $J s$ with a vector of zeros and ones adds up columns of $J$. If no two of these
# columns share a row, nothing is lost: each element of the sum is an element of $J$. So columns
# get *colours*, such that those of one colour share no row, and one product serves each colour.
# Here two products give all 22 elements, however long `x` is:

# %%
long = sm.Variable("x", shape=(10_000,))
print(sm.sparsity((sm.sin(long[1:]) - long[:-1] ** 2) * long[1:], long).colours)

# %% [markdown]
# `sparse=True` puts this together. The Jacobian is a node of the graph; a compiled function
# returns it as a `csr_array`.

# %%
jacobian = sm.compile([x], sm.jacobian(y, x, sparse=True))
value = np.linspace(0.0, 1.1, 12)
found = jacobian(value)
print(type(found).__name__, found.shape, found.nnz)
print(abs(found.toarray() - sm.jacobian(y, x).eval({x: value})).max())

# %% [markdown]
# One row that depends on everything would force a different colour for each column. symad treats
# such rows separately: a pullback computes each of them. An arrow of 400 variables takes three
# products:

# %%
a = sm.Variable("a", shape=(400,))
arrow = sm.concat([sm.sum(a**2)[None], a[1:] * a[0]])
sm.sparsity(arrow, a)

# %% [markdown]
# ## An optimal control problem
#
# Van der Pol's oscillator, $\dot p = (1 - q^2)\, p - q + u$ and $\dot q = p$, starts at $p = 0$
# and $q = 1$. A control $u$ is to bring it to rest: minimise
# $\int_0^{10} p^2 + q^2 + u^2 \, dt$.
#
# *Direct multiple shooting* cuts time into 40 intervals. The unknowns are the states at the ends
# of all intervals and one control for each. The simulation of an interval must end where the next
# one starts: the gaps are equations. All intervals are simulated at once, as arrays.

# %%
intervals, steps, duration = 40, 4, 10.0
n = intervals + 1
z = sm.Variable("z", shape=(2 * n + intervals,))
p, q, u = z[:n], z[n : 2 * n], z[2 * n :]


def slope(p, q, u):
    return (1 - q * q) * p - q + u, p


def shoot(p, q, u):
    """Simulate all intervals by steps of Runge and Kutta's method."""
    h = duration / intervals / steps
    for _ in range(steps):
        p1, q1 = slope(p, q, u)
        p2, q2 = slope(p + h / 2 * p1, q + h / 2 * q1, u)
        p3, q3 = slope(p + h / 2 * p2, q + h / 2 * q2, u)
        p4, q4 = slope(p + h * p3, q + h * q3, u)
        p = p + h / 6 * (p1 + 2 * p2 + 2 * p3 + p4)
        q = q + h / 6 * (q1 + 2 * q2 + 2 * q3 + q4)
    return p, q


p_end, q_end = shoot(p[:-1], q[:-1], u)
start = sm.stack([p[0] - 0.0, q[0] - 1.0])
constraints = sm.concat([start, p_end - p[1:], q_end - q[1:]])
cost = duration / intervals * (sm.sum(p**2) + sm.sum(q**2) + sm.sum(u**2))

# %% [markdown]
# Each gap depends on two states, one control and the next state:

# %%
sm.sparsity(constraints, z)

# %% [markdown]
# At a solution, the derivative of the Lagrangian $L = \text{cost} + \lambda \cdot \text{gaps}$ is
# zero, and so are the gaps. Newton's method solves these equations; it needs the Jacobian of the
# gaps, and the Hessian of the Lagrangian. Both are sparse.

# %%
multipliers = sm.Variable("λ", shape=(2 * intervals + 2,))
lagrangian = cost + sm.sum(multipliers * constraints)
newton = sm.compile(
    [z, multipliers],
    {
        "slope": sm.gradients(lagrangian, z),
        "gaps": constraints,
        "jacobian": sm.jacobian(constraints, z, sparse=True),
        "hessian": sm.hessian(lagrangian, z, sparse=True),
    },
)
sm.sparsity(sm.gradients(lagrangian, z), z)

# %% [markdown]
# Each step solves one sparse linear system:
#
# $$\begin{pmatrix} H & J^\top \\ J & 0 \end{pmatrix}
# \begin{pmatrix} \Delta z \\ \Delta \lambda \end{pmatrix} =
# -\begin{pmatrix} \nabla_z L \\ \text{gaps} \end{pmatrix}$$

# %%
point, weights = np.zeros(z.shape), np.zeros(multipliers.shape)
for step in range(20):
    found = newton(point, weights)
    error = max(abs(found["slope"]).max(), abs(found["gaps"]).max())
    print(f"step {step}: the equations are violated by {error:.1e}")
    if error < 1e-10:
        break
    matrix = sparse.block_array(
        [[found["hessian"], found["jacobian"].T], [found["jacobian"], None]], format="csc"
    )
    change = spsolve(matrix, -np.concatenate([found["slope"], found["gaps"]]))
    point, weights = point + change[: len(point)], weights + change[len(point) :]

# %%
assert error < 1e-10
print("cost", sm.compile([z], cost)(point))
for name, values in zip("pqu", (point[:n], point[n : 2 * n], point[2 * n :]), strict=True):
    print(name, np.array2string(values[::5], precision=3, suppress_small=True))

# %% [markdown]
# The oscillator comes to rest.
#
# ## How much faster
#
# The dense Hessian takes one product for each unknown:

# %%
import timeit

dense = sm.compile([z, multipliers], sm.hessian(lagrangian, z))
thin = sm.compile([z, multipliers], sm.hessian(lagrangian, z, sparse=True))
assert abs(thin(point, weights).toarray() - dense(point, weights)).max() < 1e-9
slow, fast = (min(timeit.repeat(lambda f=f: f(point, weights), number=5)) for f in (dense, thin))
print(f"dense / sparse: {slow / fast:.0f} times as long")

# %% [markdown]
# ## Products instead of matrices
#
# If only products are needed, nothing is assembled: `J @ v` is a pushforward, `w @ J` is a
# pullback. Both are nodes, which can be differentiated again. Constant SciPy sparse matrices can be
# multiplied in a graph as well:

# %%
v = sm.Variable("v", shape=z.shape)
J = sm.jacobian(constraints, z, sparse=True)
difference = sparse.diags_array(
    [-np.ones(2 * intervals + 1), np.ones(2 * intervals + 1)],
    offsets=(0, 1),
    shape=(2 * intervals + 1, 2 * intervals + 2),
)
roughness = sm.sum((difference @ (J @ v)) ** 2)
print(sm.compile([z, v], sm.gradients(roughness, v))(point, np.ones(z.shape)).shape)
