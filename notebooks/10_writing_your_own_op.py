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
# # Writing your own op
#
# An op is one class: what it computes, its type, its rule, how it prints, and the samples on
# which it is tested. But most new functions do not need a class.

# %%
import numpy as np

import symad as sm
from symad.testing import check_gradients

x = sm.Variable("x", shape=(3,))

# %% [markdown]
# ## A function of nodes
#
# For most functions, this is enough, and derivatives need no extra code:


# %%
def silu(x):
    return x * sm.sigmoid(x)


check_gradients(silu(x), [x], at={x: [-1.0, 0.0, 2.0]})

# %% [markdown]
# ## One node, with its own rule
#
# `sm.custom` makes one node of the function, in pictures and traces too. You can also give your
# own rule for the gradient: here the gradient is limited in the backward part.

# %%
limited = sm.custom(lambda x: x * 1, reverse=lambda v, y, x: sm.clip(v, -1, 1), name="limited")
y = sm.sum(10 * limited(x))
print(y.eval({x: [1.0, 2.0, 3.0]}), sm.gradients(y, x).eval({x: [1.0, 2.0, 3.0]}))

# %% [markdown]
# ## A class
#
# If there is a NumPy function to call, or a shape to infer, write a class. An elementwise op
# needs seven lines. `chain` has a formula for each operand: the incoming value $v$ times the
# partial derivative. With an adjoint for $v$ it is the reverse rule, with a tangent the forward
# rule.

# %%
from symad.graph.sample import Sample, reals
from symad.ops.base import Unary


class Logit(Unary):
    """Return ln(x / (1 - x)), element by element, for x between 0 and 1."""

    name = "logit"
    numpy = "scipy.special.logit"
    latex = r"\operatorname{{logit}} {0}"
    chain = (lambda v, y, x: v / (x * (1 - x)),)
    samples = (
        Sample(lambda x: logit(x), [reals(3, low=0.1, high=0.9)], lambda x: np.log(x / (1 - x))),
    )


logit = Logit()
logit(x).eval({x: [0.2, 0.5, 0.9]})

# %% [markdown]
# `check_gradients` compares both rules with differences along random directions, and with each
# other:

# %%
check_gradients(logit(x), [x], at={x: [0.2, 0.5, 0.9]})
check_gradients(sm.gradients(sm.sum(logit(x)), x), [x], at={x: [0.2, 0.5, 0.9]})

# %% [markdown]
# It also finds a rule that is only slightly wrong:

# %%
wrong = sm.custom(logit, reverse=lambda v, y, x: v / (x * (1.001 - x)), name="wrong")
try:
    check_gradients(wrong(x), [x], at={x: [0.2, 0.5, 0.9]})
except AssertionError as error:
    print(error)

# %% [markdown]
# ## Everything else follows
#
# The op can be used in formulas, in traces, in compiled functions, and in derivatives of any
# order.

# %%
sm.trace(sm.sum(logit(x) ** 2), {x: [0.2, 0.5, 0.9]})

# %%
f = sm.compile([x], sm.value_and_gradients(sm.sum(logit(x) ** 2), x))
f([0.2, 0.5, 0.9])

# %% [markdown]
# The page on adding an op explains the rest: attributes, shapes, linear ops, native code, and
# where the class belongs in symad itself.
#
# ## Exercises
#
# 1. Make a relu whose derivative at 0 is 1/2, with `sm.custom`.

# %%
from symad.demo.exercises import check

answer = ...
check("own op 1", answer)

# %% [markdown]
# 2. Write a class for $e^{-x^2}$ with a rule, and give an instance of it.

# %%
answer = ...
check("own op 2", answer)

# %% [markdown]
# 3. Round to integers, but let the adjoint pass unchanged, as if nothing had been rounded.

# %%
answer = ...
check("own op 3", answer)
