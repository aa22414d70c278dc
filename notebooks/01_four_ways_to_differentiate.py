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
# # Four ways to differentiate
#
# $$y = \ln(x_1) + x_1 x_2 - \sin(x_2) \quad\text{at}\quad x_1 = 2,\ x_2 = 5$$
#
# What are $\partial y / \partial x_1$ and $\partial y / \partial x_2$? There are four ways to
# find out: by differences, by formulas, and by automatic differentiation in forward or reverse
# mode. This notebook uses all four, counts the operations of each, and ends with the reason why
# networks are trained with the last.

# %%
from math import cos, log, sin

import numpy as np

import symad as sm


def f(x1, x2):
    return log(x1) + x1 * x2 - sin(x2)


f(2.0, 5.0)

# %% [markdown]
# ## 1. Differences
#
# The derivative is a limit. Its simplest approximation uses a small step $\varepsilon$ and omits
# the limit:
#
# $$\frac{f(x + \varepsilon) - f(x)}{\varepsilon} = f'(x) + O(\varepsilon), \qquad
#   \frac{f(x + \varepsilon) - f(x - \varepsilon)}{2 \varepsilon} = f'(x) + O(\varepsilon^2)$$
#
# In the second formula, the *central* difference, the terms with $f''$ cancel. The true value
# here is $1/x_1 + x_2 = 5.5$.

# %%
for step in (1e-1, 1e-2, 1e-3):
    one_sided = (f(2.0 + step, 5.0) - f(2.0, 5.0)) / step
    central = (f(2.0 + step, 5.0) - f(2.0 - step, 5.0)) / (2 * step)
    print(f"step {step}: errors {abs(one_sided - 5.5):.1e} and {abs(central - 5.5):.1e}")

# %% [markdown]
# If the step becomes ten times smaller, the first error becomes ten times smaller, and the second
# a hundred times. So why not use $\varepsilon = 10^{-15}$?

# %%
for step in (1e-9, 1e-12, 1e-15, 1e-16):
    print(f"step {step:.0e}: {(f(2.0 + step, 5.0) - f(2.0, 5.0)) / step}")

# %% [markdown]
# A float64 has 16 digits. The two values of $f$ agree in nearly all of them, and the subtraction
# leaves mainly rounding error, which is then divided by $\varepsilon$. Eventually the step itself
# is lost: `2.0 + 1e-16 == 2.0`, and the difference is 0. There is a best step between truncation
# error on one side and rounding error on the other, but even this step is not very accurate.

# %%
# %matplotlib inline
x1, x2 = sm.Variable("x1"), sm.Variable("x2")
y = sm.log(x1) + x1 * x2 - sm.sin(x2)
errors = sm.difference_errors(y, [x1, x2], {x1: 2.0, x2: 5.0})
errors.plot().figure

# %% [markdown]
# Differences take at least one extra evaluation for *each* input. For a network with a million
# weights, this is out of the question. But differences need no rules, so they are good for
# checks, and one check along a direction $\delta$ covers all inputs together:
#
# $$\delta^\top \nabla f \approx \frac{f(\theta + \varepsilon\delta) - f(\theta -
#   \varepsilon\delta)}{2\varepsilon}.$$

# %%
gradient = np.array([1 / 2.0 + 5.0, 2.0 - cos(5.0)])
direction = np.array([0.6, -0.8])
difference = sm.directional_derivative(y, {x1: 2.0, x2: 5.0}, {x1: 0.6, x2: -0.8})
print("two evaluations:", difference, " gradient:", direction @ gradient)

# %% [markdown]
# ## 2. Formulas
#
# $\partial y / \partial x_1 = 1/x_1 + x_2$ and $\partial y / \partial x_2 = x_1 - \cos x_2$ are
# exact and shorter than $y$. This is not always so. The product $f = \theta_1 \theta_2 \cdots
# \theta_n$ has $n$ derivatives, and each is a product of $n - 1$ factors:
#
# $$\frac{\partial f}{\partial \theta_i} = \prod_{j \ne i} \theta_j
#   \qquad\text{so}\qquad n (n - 2) \text{ multiplications for all of them.}$$
#
# These are nearly the same products, computed again and again.

# %%
theta = np.array([1.5, -0.5, 2.0, 0.25, 3.0])
multiplications = 0
partials = []
for i in range(5):
    first, *rest = np.delete(theta, i)
    for factor in rest:
        first = first * factor
        multiplications += 1
    partials.append(float(first))
print(partials, multiplications, "multiplications =", 5 * (5 - 2))

# %% [markdown]
# It can be worse: a formula is a tree, and a value that is used twice is written out twice. As an
# example, repeat $x \leftarrow x \sin x$ ten times.

# %%
x = sm.Variable("x", shape=())
z = x
for _ in range(10):
    z = z * sm.sin(z)
for way in sm.compare_derivatives(z, x, {x: 1.0}).ways:
    if way.name in ("symbolic expansion", "reverse mode"):
        print(f"{way.name}: {way.operations.multiplications:,} multiplications", end=", ")
        print(f"{way.operations.functions:,} sines and cosines")

# %% [markdown]
# ## 3. Forward mode
#
# Forward mode keeps the program, and lets each line also compute a rate of change: $\dot v =
# \partial v / \partial x_1$, where $x_1$ changes at the rate 1 and $x_2$ is constant.


# %%
def forward(x1, x2, dx1, dx2):
    """Return the value, and its rate of change."""
    v3, d3 = log(x1), dx1 / x1
    v4, d4 = x1 * x2, dx1 * x2 + x1 * dx2
    v5, d5 = sin(x2), cos(x2) * dx2
    return v3 + v4 - v5, d3 + d4 - d5


print(forward(2.0, 5.0, 1.0, 0.0))
print(forward(2.0, 5.0, 0.0, 1.0))

# %% [markdown]
# The result is exact, nothing is written out twice, and nothing has to be kept for later. But
# each pass covers one input: two inputs need two passes.
#
# ## 4. Reverse mode
#
# Reverse mode asks the opposite question: how does $y$ depend on each line? $\bar v = \partial y
# / \partial v$ starts from $\bar y = 1$ and proceeds back to the inputs. A value that is used
# twice gets two terms.


# %%
def backward(x1, x2):
    """Return the value, and its derivatives with respect to x1 and x2."""
    v3, v4, v5 = log(x1), x1 * x2, sin(x2)
    y = v3 + v4 - v5
    a3, a4, a5 = 1.0, 1.0, -1.0
    a2 = a4 * x1 + a5 * cos(x2)
    a1 = a3 / x1 + a4 * x2
    return y, a1, a2


backward(2.0, 5.0)

# %% [markdown]
# One pass is enough for both inputs, and would be enough for a million. The price is memory: the
# values of the forward part must be kept until the backward part needs them.
#
# Written by hand, methods 3 and 4 are tedious. But they are mechanical, with one rule for each
# line, and symad applies these rules. Both functions return nodes, and compute nothing yet.

# %%
at = {x1: 2.0, x2: 5.0}
print("forward:", sm.pushforward(y, [x1, x2], [1.0, 0.0]).eval(at))
print("reverse:", [g.eval(at) for g in sm.gradients(y, [x1, x2])])

# %% [markdown]
# ## All of them, on the same function
#
# `sm.compare_derivatives` differentiates in each of these ways and counts the operations. First,
# our example, where the ways differ mainly in accuracy:

# %%
sm.compare_derivatives(y, [x1, x2], at)

# %% [markdown]
# Then, the product of eight numbers:


# %%
def product(n):
    """Return θ1, ..., θn and their product."""
    thetas = [sm.Variable(f"θ{i}", shape=()) for i in range(1, n + 1)]
    result = thetas[0]
    for theta in thetas[1:]:
        result = result * theta
    return thetas, result


thetas, result = product(8)
sm.compare_derivatives(result, thetas, dict.fromkeys(thetas, 1.5))

# %% [markdown]
# Finally, the product of more and more numbers. Doubling the number of inputs quadruples the
# operations of all ways except reverse mode, whose operations only double: $3(n - 1)$
# multiplications for the value and all $n$ derivatives.

# %%
names = ("central differences", "symbolic expansion", "forward mode", "reverse mode")
print("multiplications for n =", *(f"{n:7}" for n in (4, 8, 16, 32, 64)))
counts = {}
for n in (4, 8, 16, 32, 64):
    thetas, result = product(n)
    for way in sm.compare_derivatives(result, thetas, dict.fromkeys(thetas, 1.0)).ways:
        counts.setdefault(way.name, []).append(way.operations.multiplications)
for name in names:
    print(f"{name:22} ", *(f"{count:7,}" for count in counts[name]))

# %% [markdown]
# A loss is one number that depends on many weights, so networks are trained with reverse mode.
# For few inputs and many outputs, forward mode is cheaper.
#
# ## Exercises
#
# 1. The error of a central difference is proportional to which power of the step? Give the
#    exponent.

# %%
from symad.demo.exercises import check

answer = ...
check("four ways 1", answer)

# %% [markdown]
# 2. How many multiplications are needed for all partial derivatives of $x_1 x_2 \cdots x_8$, if
#    each is computed separately?

# %%
answer = ...
check("four ways 2", answer)

# %% [markdown]
# 3. Which mode takes fewer passes for 3 inputs and 1000 outputs, and which for 1000 inputs and 3
#    outputs? Give a list of two words, "forward" or "reverse".

# %%
answer = ...
check("four ways 3", answer)
