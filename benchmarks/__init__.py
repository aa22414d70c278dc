"""How fast symad is, beside its peers: ``python -m benchmarks`` writes docs/performance.md.

A :class:`~benchmarks.workload.Workload` is one piece of work: its inputs, an independent NumPy
answer, and one builder for each way of doing it.  ``worker`` measures one of them in a process of
its own, ``suite`` starts the workers, ``report`` writes what they found.
"""
