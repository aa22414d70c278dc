"""What is loaded when it is asked for: the functions of each module, by their public names."""

from __future__ import annotations

_MODULES = {
    "autodiff.sparse": "sparsity",
    "distribution.distribute": "distribute",
    "export.c_file": "export_c",
    "export.object_file": "export_object",
    "export.onnx_file": "export_onnx",
    "export.stablehlo": "export_stablehlo",
    "export.to_jax": "to_jax",
    "functions.accumulation": "cumulative_prod cumulative_sum",
    "functions.associative": "associative_scan",
    "functions.arrays": "asarray empty empty_like from_dlpack meshgrid",
    "functions.averages": "average corrcoef cov",
    "functions.branches": "cond switch",
    "functions.batching": "vmap",
    "functions.broadcasting": "broadcast_arrays broadcast_shapes",
    "functions.choices": "piecewise select",
    "functions.comparing": "allclose array_equal array_equiv fabs fmax fmin heaviside isclose "
    "isneginf isposinf",
    "functions.constants": "e inf nan newaxis pi",
    "functions.counting": "count_nonzero isin",
    "functions.creation": "geomspace indices logspace tri",
    "functions.differences": "central_differences cumulative_trapezoid diff ediff1d trapezoid",
    "functions.dtypes": "astype bool can_cast finfo float16 float32 float64 iinfo int16 int32 "
    "int64 int8 isdtype result_type uint16 uint32 uint64 uint8",
    "functions.editing": "delete diagflat insert ravel_multi_index resize unravel_index",
    "functions.elementwise": "float_power logaddexp2 modf unwrap",
    "functions.equations": "fixed_point implicit root",
    "functions.histograms": "bincount histogram",
    "functions.interpolation": "digitize interp",
    "functions.joining": "append array_split atleast_3d block column_stack dsplit dstack fliplr "
    "flipud hsplit rollaxis rot90 vsplit",
    "functions.linear_algebra": "vecdot linalg.cross linalg.diagonal linalg.matrix_norm "
    "linalg.matrix_rank linalg.outer linalg.vecdot linalg.vector_norm",
    "functions.loops": "fori_loop scan while_loop",
    "functions.matrix_functions": "linalg.block_diag linalg.cho_factor linalg.cho_solve "
    "linalg.cond linalg.eig linalg.eigvals linalg.expm linalg.lstsq linalg.lu "
    "linalg.multi_dot linalg.solve_banded linalg.solve_sylvester linalg.sqrtm linalg.tensorinv "
    "linalg.tensorsolve linalg.toeplitz",
    "functions.namespace": "__array_namespace_info__",
    "functions.nan_reductions": "nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax "
    "nanmean nanmin nanprod nanstd nansum nanvar",
    "functions.order_statistics": "argpartition median nanmedian nanpercentile nanquantile "
    "partition percentile ptp quantile top_k",
    "functions.pieces": "unstack",
    "functions.polynomials": "poly polyadd polyder polyfit polyint polymul polysub polyval vander",
    "functions.products": "cross kron matvec vdot vecmat",
    "functions.signal": "convolve correlate",
    "ops.bits": "bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift "
    "bitwise_xor",
    "ops.floats": "copysign nextafter signbit",
    "ops.pseudo_inverse": "linalg.pinv",
    "ops.running_extremum": "cummax cummin",
    "ops.searching": "searchsorted",
    "ops.sinc": "sinc",
    "saving.files": "fingerprint load save",
}

FUNCTIONS = {
    name: f"symad.{module}" for module, names in _MODULES.items() for name in names.split()
}
"""The module of each public function that is loaded on first use, by its path below ``symad``."""

MODULES = (
    "demo", "linalg", "nn", "optimise", "random", "special", "stats", "testing",
)  # fmt: skip
"""Public modules that are loaded on first use."""

INTERNAL = {
    "gradient": "symad.functions.differences",  # NumPy's name of central_differences
    "numpy_function": "symad.functions.numpy_protocol",
    "numpy_ufunc": "symad.functions.numpy_protocol",
    "orthogonal_complement": "symad.ops.bases",
    "stable_forms": "symad.passes.forms",
    "specialise": "symad.passes.specialise",
    "latex_formula": "symad.notation.short_formula",
    "short_formula": "symad.notation.short_formula",
    **{f"{name}.": f"symad.{name}" for name in MODULES},  # whatever function of the module
    **dict.fromkeys(
        "beta betainc betaincinv betaln binom boxcox boxcox1p comb entr erfcinv erfcx exp1 "
        "expi expn exprel factorial gamma gammainc gammaincc gammaincinv gammasgn hyp1f1 "
        "hyp2f1 i0 i0e i1 i1e inv_boxcox iv ive j0 j1 jv kl_div kv log1mexp log_expit "
        "log_ndtr loggamma logit multigammaln ndtr ndtri poch rel_entr rgamma spence stdtr "
        "stdtrit xlog1py xlogy y0 y1 yn yv zeta".split(),
        "symad.special",
    ),
}
"""What is looked up by name, but not public under that name."""
