"""Speed of symad compared with its peers: ``python -m benchmarks`` writes docs/performance.md.

A :class:`~benchmarks.workload.Workload` consists of its inputs, an independent NumPy answer, and
one builder for each implementation.  ``worker`` measures one implementation in a separate process,
``suite`` starts the workers, and ``report`` writes their results.
"""
