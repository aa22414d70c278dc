"""Speed of symad compared with its peers: ``make bench`` writes two pages of the documentation.

A :class:`~benchmarks.workload.Workload` consists of its inputs, an independent NumPy answer, and
one builder for each implementation.  ``worker`` measures one implementation in a separate process,
``suite`` starts the workers, and ``report`` writes all results, from which ``reader_page`` writes
the page for readers, with its charts.
"""
