"""All workloads, in the order of the report."""

from __future__ import annotations

from benchmarks.workload import Workload
from benchmarks.workloads import (
    attention,
    cross_entropy,
    elementwise,
    gaussian,
    layer_norm,
    network,
    scalar_programs,
    scalars,
    small_matrix,
)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        scalars.RUNNING_EXAMPLE,
        *scalar_programs.OF_NUMBERS,
        small_matrix.SMALL_MATRIX,
        elementwise.VALUE,
        elementwise.GRADIENT,
        elementwise.VALUE_IN_THREADS,
        elementwise.GRADIENT_IN_THREADS,
        cross_entropy.CROSS_ENTROPY,
        cross_entropy.CROSS_ENTROPY_32,
        layer_norm.LAYER_NORM,
        layer_norm.LAYER_NORM_32,
        attention.ATTENTION,
        attention.ATTENTION_32,
        gaussian.GAUSSIAN,
        network.NETWORK_STEP,
        network.NEW_BATCH_SIZE,
    )
}
