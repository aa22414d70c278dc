"""GradBench's programs in symad, and a comparison with the tools that the suite ships.

GradBench (github.com/gradbench/gradbench) is a public benchmark of automatic differentiation.  Its
*evals* send inputs and check answers, its *tools* compute them; both speak JSON, one message a
line.  ``python -m benchmarks.gradbench`` is the tool; ``programs`` holds one module for each eval;
``comparison`` runs the evals of a checkout with this tool and with the suite's own.
"""
