# SPDX-License-Identifier: Apache-2.0
"""What function units and analog work cost, operation by operation."""

from dataclasses import dataclass

from spikewright.evaluation.layer_count import LayerCount

__all__ = ["FunctionPrices"]


@dataclass(frozen=True, kw_only=True)
class FunctionPrices:
    """Prices in pJ of operations on complete values, in function units and analog work.

    Where no source says more, :meth:`from_multiplication` has our own rule.

    Attributes:
        evaluation: A curve (exponential, GELU, square root) at one point.
        multiplication: A product of two values.
        division: A quotient of two.
        addition: A sum of two.
        comparison: A comparison of two.
    """

    evaluation: float
    multiplication: float
    division: float
    addition: float
    comparison: float

    @classmethod
    def from_multiplication(
        cls, multiplication: float, addition: float, comparison: float
    ) -> "FunctionPrices":
        """Price curves as polynomials of degree 5, quotients as two Newton steps and a product.

        Horner's rule takes 5 multiplications and 5 additions. A Newton step for a reciprocal,
        x·(2 − a·x), takes 2 and 1; two of them make 32 bits of a table's 8.

        Example:
            >>> prices = FunctionPrices.from_multiplication(2.0, 1.0, 0.5)
            >>> prices.evaluation, prices.division
            (15.0, 12.0)
        """
        return cls(
            evaluation=5 * (multiplication + addition),
            multiplication=multiplication,
            division=5 * multiplication + 2 * addition,
            addition=addition,
            comparison=comparison,
        )

    def price(self, layer: LayerCount) -> float:
        """Return what a row's operations on complete values cost for one input."""
        return (
            layer.evaluations * self.evaluation
            + layer.multiplications * self.multiplication
            + layer.divisions * self.division
            + layer.sums * self.addition
            + layer.comparisons * self.comparison
        )
