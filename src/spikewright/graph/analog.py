# SPDX-License-Identifier: Apache-2.0
"""Operators that do analog work in front of and behind the spikes, and that a file may name.

Elementwise mathematics, comparisons, reductions, normalisations, orderings. None of them reads or
writes files, draws random numbers, or changes its arguments.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ANALOG"]

_D = "default"
ANALOG: Mapping[str, str] = MappingProxyType(
    {
        # arithmetic
        **dict.fromkeys(("mul", "true_divide", "multiply"), "Tensor Scalar"),
        **dict.fromkeys(("add", "sub", "rsub", "subtract"), "Tensor Scalar"),
        **dict.fromkeys(("div", "divide"), "Tensor Scalar Tensor_mode Scalar_mode"),
        **dict.fromkeys(("fmod", "masked_fill", "lerp"), "Tensor Scalar"),
        "pow": "Tensor_Tensor Tensor_Scalar Scalar",
        "remainder": "Tensor Scalar Scalar_Tensor",
        "floor_divide": "default Scalar",
        "clamp": "default Tensor",
        "clip": "default Tensor",
        "clamp_min": "default Tensor",
        "clamp_max": "default Tensor",
        "xlogy": "Tensor Scalar_Other Scalar_Self",
        **dict.fromkeys(("addcmul", "addcdiv", "addmm", "baddbmm", "addbmm", "addmv", "addr"), _D),
        **dict.fromkeys(("bmm", "mm", "mv", "dot", "matmul", "linear", "einsum", "tensordot"), _D),
        **dict.fromkeys(("bilinear", "cdist", "cosine_similarity", "cross"), _D),
        **dict.fromkeys(("atan2", "hypot", "logaddexp", "heaviside"), _D),
        **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), _D),
        # elementwise
        **dict.fromkeys(("abs", "absolute", "neg", "negative", "positive", "sign", "sgn"), _D),
        **dict.fromkeys(("ceil", "floor", "trunc", "frac", "reciprocal", "square"), _D),
        "round": "default decimals",
        **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logit"), _D),
        **dict.fromkeys(("sqrt", "rsqrt", "erf", "erfc", "erfinv", "sinc", "deg2rad"), _D),
        **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan"), _D),
        **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), _D),
        **dict.fromkeys(("sigmoid", "log_sigmoid", "silu", "mish", "gelu", "softplus"), _D),
        **dict.fromkeys(("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "glu"), _D),
        **dict.fromkeys(("hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink"), _D),
        **dict.fromkeys(("threshold", "nan_to_num", "clone", "detach", "alias", "contiguous"), _D),
        # comparisons and choices
        **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), "Tensor Scalar"),
        **dict.fromkeys(("isfinite", "isinf", "isnan", "bitwise_not"), _D),
        **dict.fromkeys(("logical_and", "logical_not", "logical_or", "logical_xor"), _D),
        **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), "Tensor Scalar"),
        "where": "self ScalarOther ScalarSelf Scalar",
        # softmax and normalisations
        **dict.fromkeys(("softmax", "log_softmax"), "int"),
        **dict.fromkeys(("_softmax", "_log_softmax", "logsumexp"), _D),
        **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm"), _D),
        **dict.fromkeys(("group_norm", "native_group_norm", "instance_norm"), _D),
        **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _D),
        **dict.fromkeys(("linalg_vector_norm", "scaled_dot_product_attention"), _D),
        "norm": "Scalar ScalarOpt_dim",
        # reductions
        **dict.fromkeys(("amax", "amin", "aminmax", "argmax", "argmin"), _D),
        **dict.fromkeys(("max", "min"), "default dim other"),
        "median": "default dim",
        "mean": "default dim",
        "sum": "default dim_IntList",
        "prod": "default dim_int",
        **dict.fromkeys(("all", "any"), "default dim dims"),
        **dict.fromkeys(("std", "var", "std_mean", "var_mean"), "default dim correction"),
        **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "diff"), _D),
        # orderings
        **dict.fromkeys(("sort", "argsort"), "default stable"),
        **dict.fromkeys(("topk", "kthvalue", "gather", "take_along_dim", "embedding"), _D),
        # layout
        **dict.fromkeys(("broadcast_to", "expand_as", "narrow", "tile", "column_stack"), _D),
        **dict.fromkeys(("hstack", "vstack", "dstack", "concat", "rot90", "fliplr", "flipud"), _D),
        **dict.fromkeys(("tril", "triu", "diagonal", "diag_embed", "unfold", "im2col"), _D),
        **dict.fromkeys(("movedim", "moveaxis"), "int intlist"),
        "swapaxes": _D,
        "split": "Tensor sizes",
        "unbind": "int",
        # maps
        **{f"upsample_{kind}": "default vec" for kind in ("bicubic2d", "bilinear2d", "linear1d")},
        **{f"upsample_{kind}": "default vec" for kind in ("nearest1d", "nearest2d", "nearest3d")},
        **{f"_upsample_nearest_exact{d}d": "default vec" for d in (1, 2, 3)},
        "upsample_trilinear3d": "default vec",
        "grid_sampler_2d": _D,
        **{f"max_pool{d}d_with_indices": _D for d in (2, 3)},
        # constants and types; their sizes are checked like every value's
        **dict.fromkeys(("zeros", "ones", "full", "eye", "scalar_tensor"), _D),
        "arange": "default start start_step",
        **dict.fromkeys(("zeros_like", "ones_like", "full_like"), _D),
        **dict.fromkeys(("new_zeros", "new_ones", "new_full", "type_as", "_to_copy"), _D),
        "to": "dtype dtype_layout other",
    }
)
"""Analog operators by PyTorch's name, with their overloads."""
