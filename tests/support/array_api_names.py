"""The names of the Array API standard, version 2025.12, apart from those of ``fft``."""

from __future__ import annotations

NAMES = """
    __array_api_version__ __array_namespace_info__ abs acos acosh add all any arange argmax
    argmin argsort asarray asin asinh astype atan atan2 atanh bitwise_and bitwise_invert
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor bool broadcast_arrays
    broadcast_shapes broadcast_to can_cast ceil clip complex128 complex64 concat conj copysign
    cos cosh count_nonzero cumulative_prod cumulative_sum diff divide e empty empty_like equal
    exp expand_dims expm1 eye fft finfo flip float32 float64 floor floor_divide from_dlpack full
    full_like greater greater_equal hypot iinfo imag inf int16 int32 int64 int8 isdtype isfinite
    isin isinf isnan less less_equal linalg linspace log log10 log1p log2 logaddexp logical_and
    logical_not logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid min
    minimum moveaxis multiply nan negative newaxis nextafter nonzero not_equal ones ones_like
    permute_dims pi positive pow prod real reciprocal remainder repeat reshape result_type roll
    round searchsorted sign signbit sin sinh sort sqrt square squeeze stack std subtract sum
    take take_along_axis tan tanh tensordot tile tril triu trunc uint16 uint32 uint64 uint8
    unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
    zeros_like
""".split()

LINALG = """
    cholesky cross det diagonal eig eigh eigvals eigvalsh inv matmul matrix_norm matrix_power
    matrix_rank matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot
    vector_norm
""".split()

METHODS = """
    T __abs__ __add__ __and__ __array_namespace__ __bool__ __complex__ __dlpack__
    __dlpack_device__ __eq__ __float__ __floordiv__ __ge__ __getitem__ __gt__ __index__ __init__
    __int__ __invert__ __le__ __lshift__ __lt__ __matmul__ __mod__ __mul__ __ne__ __neg__ __or__
    __pos__ __pow__ __rshift__ __setitem__ __sub__ __truediv__ __xor__ device dtype mT ndim
    shape size to_device
""".split()

DTYPES = """
    bool float32 float64 int16 int32 int64 int8 uint16 uint32 uint64 uint8
""".split()

ABSENT = """
    complex128 complex64 conj fft imag linalg.eig linalg.eigvals nonzero real unique_all
    unique_counts unique_inverse unique_values
""".split()
"""What symad does not have, and says why."""
