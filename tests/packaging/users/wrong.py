"""Mistakes that a type checker shall find: one on each line that says so."""

from __future__ import annotations

import symad as sm

x = sm.Variable("x")
w = sm.parameter("w", 1.0)
y = sm.sin(x)

sm.sinn(x)  # wrong: no such name
print(sm.Any)  # wrong: not a public name
sm.sin("x")  # wrong: text is no operand
sm.add(x, object())  # wrong: no operand
sm.sum(x, keepdim=True)  # wrong: no such argument
sm.compile([x], y, backend="nativ")  # wrong: no such backend
sm.compile([x], y, rewrites="fast")  # wrong: no such grade
sm.Executor([y], backend="cuda")  # wrong: no such backend
sm.gradients(y, x, unused="ignore")  # wrong: not one of the choices
sm.gradients(y, 3.0)  # wrong: not a node
sm.gradients(y, [x]).eval()  # wrong: a list has no values
sm.gradients(y, {"x": x})[0]  # wrong: the key is text
sm.jacobian(y, x, mode="backward")  # wrong: no such mode
sm.pad(x, 1, mode="mirror")  # wrong: no such mode
sm.compile([x], y).compile()  # wrong: a function cannot be compiled
sm.draw(y).save("a.svg").close()  # wrong: nothing is returned
sm.linalg.inverse(x)  # wrong: no such name
