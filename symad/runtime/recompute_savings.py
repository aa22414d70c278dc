"""Memory saved and operations added by recomputing residuals."""

from __future__ import annotations

from symad.records import dataclass
from symad.runtime.memory_check import format_bytes


@dataclass(frozen=True, slots=True)
class Trade:
    """Memory and operations with all residuals kept, and with recomputation.

    Attributes
    ----------
    bytes_kept, bytes : int
        The memory of the plan besides the inputs; :attr:`symad.plan.memory.MemoryUse.lower_bound`.
    flops_kept, flops : int
        Operations on numbers, as :mod:`symad.graph.cost` counts them.
    """

    bytes_kept: int
    bytes: int
    flops_kept: int
    flops: int

    def __str__(self) -> str:
        """Return a one-line summary.

        Examples
        --------
        >>> print(Trade(8_000_000, 2_000_000, 1000, 1015))
        memory 8 MB -> 2 MB (-75.0 %), operations 1000 -> 1015 (+1.5 %)
        """
        memory = f"{format_bytes(self.bytes_kept)} -> {format_bytes(self.bytes)}"
        operations = f"{self.flops_kept:.4g} -> {self.flops:.4g}"
        return (
            f"memory {memory} ({_change(self.bytes_kept, self.bytes)}), "
            f"operations {operations} ({_change(self.flops_kept, self.flops)})"
        )


def _change(before: int, after: int) -> str:
    return f"{100 * (after / before - 1) if before else 0:+.1f} %"
