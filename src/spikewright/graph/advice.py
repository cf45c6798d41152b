# SPDX-License-Identifier: Apache-2.0
"""Why an operator between weighted layers is refused, and what can be done about it."""

from dataclasses import dataclass

from spikewright.graph.ir import Node, Param

__all__ = ["Why", "is_random", "is_recurrent", "why_refused"]


@dataclass(frozen=True)
class Why:
    """A refusal in words.

    Attributes:
        reason: What is wrong, to follow the operator's name and a comma.
        advice: What to do, a whole sentence.
    """

    reason: str
    advice: str


_PRODUCT = Why(
    "both factors depend on the input, in a spelling that is not known",
    "Write the product with matmul or mul.",
)
_RECURRENT = Why(
    "a recurrent layer, which runs once a token: not part of one run",
    "Convert a classifier of texts with spikewright.recurrent.convert_recurrent(model, "
    "(tokens, lengths)), or (x, None) for a model of x alone.",
)
_NORM = Why(
    "its statistics are those of each input: not supported",
    "Use batch norm, which folds into the weights, and train again.",
)
_ROUNDING = Why(
    "a quantiser whose levels are not equal steps of slope 1",
    "Quantise to clip(floor(L·x/θ + φ) / L, 0, 1)·θ with one θ for all channels.",
)
_JUMP = Why(
    "what it computes has a jump, or depends on two values: not supported",
    "Use a continuous activation of straight lines, such as ReLU or a clip.",
)
_RANDOM = Why(
    "its result is another one at every call",
    "Pass training=self.training to dropout, and take random numbers out of the model.",
)
_EMBEDDING = Why(
    "rows are looked up by what the network computes: not supported",
    "Give the model its embedded tokens as input.",
)
_ORDER = Why(
    "places and order of values: not supported",
    "Read only maxima (max, amax, max pooling) of values.",
)
_OTHER = Why(
    "not supported",
    "Put it in front of the first weighted layer or behind the last one, or use operators of the "
    "support table (docs/support.md).",
)

_NAMES: dict[Why, str] = {
    _PRODUCT: "mv dot addmm baddbmm addbmm einsum tensordot inner bilinear linear",
    _RECURRENT: "lstm gru rnn_relu rnn_tanh lstm_cell gru_cell",
    _NORM: "batch_norm _native_batch_norm_legit native_batch_norm",
    _ROUNDING: "floor ceil round trunc floor_divide frac",
    _JUMP: (
        "gt ge lt le eq ne where masked_fill threshold sign sgn heaviside logical_and logical_or "
        "logical_not bitwise_and bitwise_or bitwise_not index_put hardshrink"
    ),
    _EMBEDDING: "embedding embedding_bag _embedding_bag one_hot",
    _ORDER: (
        "max min sort topk argmax argmin argsort median kthvalue mode max_unpool2d max_unpool3d "
        "nonzero cummax cummin"
    ),
}
_BY_NAME = {name: why for why, names in _NAMES.items() for name in names.split()}
_DRAWS = (
    "rand randn randint randperm rand_like randn_like randint_like bernoulli normal "
    "normal_functional uniform exponential geometric cauchy log_normal multinomial poisson"
)
_DROPOUTS = ("dropout", "native_dropout", "feature_dropout", "alpha_dropout", "rrelu")


def is_random(node: Node) -> bool:
    """Tell whether an operator draws random numbers: dropout that is always on, for one."""
    name = _name(node)
    if name in _DROPOUTS:
        place = 3 if name == "rrelu" else 2
        return bool(node.args[place] if len(node.args) > place else node.kwargs.get("train", False))
    return name in _DRAWS.split()


def is_recurrent(node: Node) -> bool:
    """Tell whether an operator is a whole recurrent layer, which is no analog work either."""
    return _BY_NAME.get(_name(node)) is _RECURRENT


def why_refused(node: Node) -> Why:
    """Say why an operator cannot be taken and what to do."""
    if is_random(node):
        return _RANDOM
    if _name(node) == "mul" and any(isinstance(a, Param) for a in node.args):
        return _OTHER
    return _BY_NAME.get(_name(node), _OTHER)


def _name(node: Node) -> str:
    return node.op.split(".")[1].rstrip("_") if "." in node.op else node.op
