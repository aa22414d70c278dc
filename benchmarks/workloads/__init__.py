"""All workloads, in the order of the report."""

from __future__ import annotations

from benchmarks.workload import Workload
from benchmarks.workloads import (
    attention,
    calls,
    cross_entropy,
    derivatives,
    elementwise,
    gaussian,
    layer_norm,
    network,
    scalar_programs,
    scalars,
    small_matrix,
    sparse,
)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        scalars.RUNNING_EXAMPLE,
        scalar_programs.ROBOT_ARM,
        scalar_programs.NUMBERS_60,
        scalar_programs.NUMBERS_100,
        scalar_programs.NUMBERS_1000,
        scalar_programs.CHAIN,
        calls.CALL_FORMS,
        calls.SHAPES_IN_TURN,
        calls.SIZE_AS_VALUE,
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
        sparse.JACOBIAN,
        sparse.HESSIAN,
        sparse.LARGE_JACOBIAN,
        sparse.LARGE_HESSIAN,
        sparse.SHOOTING_JACOBIAN,
        sparse.SHOOTING_HESSIAN,
        *derivatives.DERIVATIVES,
    )
}
