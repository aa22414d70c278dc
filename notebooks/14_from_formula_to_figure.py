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
# # From formula to figure: explain a paper's gradient
#
# Papers publish gradients, in an appendix or in the caption of an algorithm. This notebook takes
# one of the best known, derives it, compares it with the printed formulas, and draws a figure for
# your own paper.
#
# Attention is $S = QK^\top$, $P = \mathrm{softmax}(S)$ along rows, $O = PV$. Appendix B of
# *FlashAttention* (T. Dao, D. Y. Fu, S. Ermon, A. Rudra and C. Ré, 2022) gives its gradients. With
# the adjoint $\mathrm{d}O$ of the output, which is $\bar O$ in the notation of this lecture:
#
# $$\mathrm{d}V = P^\top \mathrm{d}O, \qquad \mathrm{d}P = \mathrm{d}O\, V^\top, \qquad
#   \mathrm{d}S_{ij} = P_{ij}\,(\mathrm{d}P_{ij} - D_i), \qquad
#   D_i = \sum_k \mathrm{d}O_{ik} O_{ik}$$
#
# $$\mathrm{d}Q = \mathrm{d}S\, K, \qquad \mathrm{d}K = \mathrm{d}S^\top Q$$
#
# ## The formula

# %%
import tempfile
from pathlib import Path

import numpy as np

import symad as sm

Q = sm.Variable("Q", shape=("n", "d"))
K = sm.Variable("K", shape=("n", "d"))
V = sm.Variable("V", shape=("n", "d"))
dO = sm.Variable("dO", shape=("n", "d"))
S = Q @ K.T
P = sm.softmax(S, axis=1)
O = P @ V
O

# %% [markdown]
# ## The derivation
#
# `O` is not a number. Its gradient needs an adjoint to start from, the *seed*; here it is a
# variable.

# %%
dQ, dK, dV = sm.gradients(O, [Q, K, V], seed=dO)
sm.explain([dQ, dK, dV])

# %% [markdown]
# Compare this with the paper, symbol by symbol. $v_6 = S$, $v_7 = P$ and $v_8 = O$; so
# $\bar v_7$ is $\mathrm{d}P$ and $\bar v_6$ is $\mathrm{d}S$. The last section lists what runs
# after the passes: $P$, $\mathrm{d}P$, $\mathrm{d}S$ and the three gradients, as in the appendix.
#
# Two things differ. The paper's $D_i$ is $\sum_k \mathrm{d}O_{ik} O_{ik}$; the rule of softmax
# gives $\sum_j P_{ij}\, \mathrm{d}P_{ij}$. These are equal, since
#
# $$\sum_k \mathrm{d}O_{ik} O_{ik} = \sum_k \mathrm{d}O_{ik} \sum_j P_{ij} V_{jk}
#   = \sum_j P_{ij} \sum_k \mathrm{d}O_{ik} V_{jk} = \sum_j P_{ij}\, \mathrm{d}P_{ij},$$
#
# and FlashAttention prefers the first because a row of $O$ is short and a row of $P$ is long. And
# symad first subtracts the element of $\mathrm{d}P$ at the largest $P_{ij}$ of each row. Rows of
# $P$ add up to 1, so nothing changes but the rounding.
#
# ## The comparison
#
# Here is the paper in NumPy, and the largest difference from symad's gradients:


# %%
def published(Q, K, V, dO):
    S = Q @ K.T
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    O = P @ V
    dP = dO @ V.T
    D = (dO * O).sum(axis=1, keepdims=True)
    dS = P * (dP - D)
    return dS @ K, dS.T @ Q, P.T @ dO


values = np.random.default_rng(0).normal(size=(4, 6, 3))
attention = sm.compile([Q, K, V, dO], [dQ, dK, dV], name="attention")
for name, ours, theirs in zip("QKV", attention(*values), published(*values), strict=True):
    print(f"d{name}: {np.abs(ours - theirs).max():.1e}")
    assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-12)

# %% [markdown]
# Both could be wrong in the same way, so finite differences have the last word.
# `check_gradients` compares the derivative along a random direction, and raises an error if it
# differs:

# %%
from symad.testing import check_gradients

at = dict(zip([Q, K, V], values, strict=False))
check_gradients(O, [Q, K, V], at=at)

# %% [markdown]
# ## What the compiler makes of it
#
# One function has both parts. Of six matrix products, two belong to the value and four to the
# gradients; everything between them is one loop nest.

# %%
both = sm.compile([Q, K, V, dO], [O, dQ, dK, dV], name="attention")
both(*values)
both.plan

# %% [markdown]
# The $n \times n$ matrices are the point of the paper: they are stored here, and FlashAttention
# never stores them as a whole. How much memory is that for 1024 tokens and 64 columns?

# %%
tokens = np.random.default_rng(1).normal(size=(4, 1024, 64)) / 8
sm.memory(both, *tokens)

# %% [markdown]
# ## The figure
#
# `draw` lays the graph out; a file with the suffix `.svg` or `.pdf` is a figure for a page or a
# paper. The adjoints stand beside the values that they belong to.

# %%
figure = sm.draw([O, dQ, dK, dV])
figure

# %% [markdown]
# For slides, `play` has one picture for each step of the derivation, also as TikZ, which LaTeX
# sets in the fonts of the document. The derivation itself is LaTeX as well.

# %%
player = sm.play(O, [Q, K, V])
with tempfile.TemporaryDirectory() as folder:
    figure.save(Path(folder, "attention.svg"))
    player.save(Path(folder, "step.tex"), step=12)
    for path in sorted(Path(folder).iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    print(Path(folder, "step.tex").read_text("utf-8")[:300])

# %%
print(sm.explain([dQ, dK, dV]).latex[:600])

# %% [markdown]
# ## Exercises
#
# 1. How many matrix products do attention and its three gradients take together?

# %%
from symad.demo.exercises import check

answer = ...
check("paper 1", answer)

# %% [markdown]
# 2. The contrastive loss of *CLIP* compares $n$ pairs by a matrix of similarities $s$:
#    $L = \frac{1}{n} \sum_i (\ln \sum_j e^{s_{ij}/\tau} - s_{ii}/\tau)$. Write a NumPy function of
#    $s$ and $\tau$ that returns $\partial L / \partial s$. Let symad derive it if you like.

# %%
answer = ...
check("paper 2", answer)

# %% [markdown]
# 3. Appendix B of *Auto-Encoding Variational Bayes* (D. P. Kingma and M. Welling, 2013) gives the
#    divergence $-\frac{1}{2} \sum_j (1 + \ln \sigma_j^2 - \mu_j^2 - \sigma_j^2)$. Write a NumPy
#    function of $\mu$ and $\ln \sigma^2$ that returns both gradients.

# %%
answer = ...
check("paper 3", answer)
