"""Fake quantisation of every stage of transformers' ALBERT, by hooks and an attention function.

The stages are those of ``network.EMBEDDED`` and ``network.STAGED``, each rounded to AF<n,3> with
its layer's own exponent bias although all layers are one module: a counter, set back by the
embedding mapping and advanced by the shared layer, says which layer runs. Scores and ffn1 stay
float, which on the unit are 32-bit fixed point. Span masks are rounded to 8 fraction bits.

What differs from the unit: its fixed point (10 fraction bits of layer norms, biases and GELU; the
tables of exp, 1/sqrt and GELU) and, in training, dropout between a stage and the sum behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.network.convert import Biases, coupled_biases
from shiftforge.quant.albert.network.integer import SPAN_ONE
from shiftforge.quant.albert.network.model import OffRampAlbert, batch_of
from shiftforge.quant.albert.network.spans import masked_probabilities
from shiftforge.quant.albert.network.stages import FloatNetwork
from shiftforge.quant.albert.network.weights import LEAST_BIAS, STORED
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, bias_of_peak
from shiftforge.quant.schemes.adaptivfloat import quantised

__all__ = ["ATTENTION", "StageRounding", "af_rounded"]

ATTENTION = "shiftforge_fake_quantised"
"""Name of the attention function among transformers' implementations."""
_OWNER = "shiftforge_rounding"  # attribute of the attention module, while attached
_LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
_MANTISSA = 23  # of float32
_TABLES = ("word", "place")
_FINER = 4  # exponent biases tried below that of the largest magnitude

_Seen = dict[tuple[int, str], list[torch.Tensor]]


class _Rounded(torch.autograd.Function):
    """The codec's nearest value (formats/adaptivfloat), for at least one mantissa bit.

    The gradient passes unchanged, and is 0 beyond the largest magnitude. A NaN stays one.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, drop: int, smallest: float, largest: float
    ) -> torch.Tensor:
        size = x.abs()
        ctx.save_for_backward(size <= largest)
        # Half to even on the bits of the mantissa; a carry moves on into the exponent.
        bits = size.view(torch.int32)
        even = bits.bitwise_right_shift(drop).bitwise_and_(1).add_(bits)
        even.add_((1 << (drop - 1)) - 1).bitwise_and_(-(1 << drop))
        y = even.view(torch.float32).clamp_(smallest, largest)
        return torch.copysign(y.masked_fill_(size <= smallest / 2, 0.0), x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def af_rounded(x: torch.Tensor, fmt: AdaptivFloatFormat, bias: int) -> torch.Tensor:
    """x (float32, any shape) on the levels of fmt with an exponent bias, saturating.

    Straight-through gradients; 0 where |x| exceeds the largest magnitude.
    """
    if fmt.mantissa_bits:
        args = (_MANTISSA - fmt.mantissa_bits, fmt.smallest(bias), fmt.largest(bias))
        found: torch.Tensor = _Rounded.apply(x, *args)  # type: ignore[no-untyped-call]
        return found
    # Without mantissa bits a tie between two powers goes up, whatever their exponents.
    top = torch.tensor(2.0 ** (bias + fmt.exponent_span))
    return quantised(x, fmt, top, clip=True)


def _least_error(values: Sequence[torch.Tensor], fmt: AdaptivFloatFormat) -> int:
    """The exponent bias of least squared error, as formats/adaptivfloat_calibration has it ("mse"),
    in float32."""
    cover = bias_of_peak(max(float(v.abs().max()) for v in values), fmt)
    tried = [max(cover - finer, LEAST_BIAS) for finer in range(_FINER + 1)]
    errors = [
        sum(float((af_rounded(v, fmt, bias) - v).square().sum()) for v in values) for bias in tried
    ]
    return tried[errors.index(min(errors))]


def _mask_rounded(mask: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        rounded = torch.round(mask * SPAN_ONE) / SPAN_ONE
    return rounded + (mask - mask.detach())


class StageRounding:
    """The hooks of one network.

    fmt: of the activations; word and place tables are AF<8,3>. biases: of every stage; until they
    are set (:meth:`calibrate`), the network must not run.
    """

    biases: Biases

    def __init__(self, model: OffRampAlbert, fmt: AdaptivFloatFormat) -> None:
        self.model, self.fmt = model, fmt
        self.layer = -1
        self._seen: _Seen | None = None
        self._types: torch.Tensor | None = None
        self._hooks: list[RemovableHandle] = []
        self._before = str(model.config._attn_implementation)
        self._attach()

    def embedding(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """x on the levels of a tensor before the layers."""
        if self._seen is not None:
            self._seen[-1, name].append(x)
            return x
        fmt = STORED if name in _TABLES else self.fmt
        return af_rounded(x, fmt, self.biases.embedding[name])

    def stage(self, name: str, x: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        """x on the levels of a stage of a layer, by default of the one that runs."""
        index = self.layer if layer is None else layer
        if self._seen is not None:
            self._seen[index, name].append(x)
            return x
        return af_rounded(x, self.fmt, self.biases.layers[index][name])

    def calibrate(
        self,
        texts: Sequence[NDArray[np.int64]],
        network: FloatNetwork,
        word_bias: int | None = None,
    ) -> None:
        """Choose all biases on sentences (L,), by ``convert.calibrate``'s rules.

        The model runs without rounded activations, but with its weights as they are. network: its
        arrays, for the tables. Raises InputError.
        """
        if not texts:
            raise InputError(Problem("no calibration texts", "give at least one"))
        training = self.model.training
        seen: _Seen = defaultdict(list)
        self.model.eval()
        self._seen = seen
        try:
            with torch.no_grad(), nn.utils.parametrize.cached():
                for ids in texts:
                    self.model(*batch_of([ids]))
                chosen = {
                    key: max(_least_error(values, self.fmt), LEAST_BIAS)
                    for key, values in seen.items()
                    if key[1] not in _TABLES
                }
        finally:
            self._seen = None
            self.model.train(training)
        own: list[dict[str, int]] = [{} for _ in range(network.layers + 1)]
        for (index, name), bias in chosen.items():
            own[index + 1][name] = bias
        self.biases = coupled_biases(own[0], own[1:], network, word_bias)

    def remove(self) -> None:
        """Take all hooks away, and the attention function back."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        delattr(self._attention, _OWNER)
        self.model.albert.set_attn_implementation(self._before)

    @property
    def _layer_module(self) -> nn.Module:
        found: nn.Module = self.model.albert.get_submodule(_LAYER)
        return found

    @property
    def _attention(self) -> nn.Module:
        return self._layer_module.get_submodule("attention")

    def _after(self, module: nn.Module, f: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._hooks.append(module.register_forward_hook(lambda _m, _a, out: f(out)))

    def _ahead(self, module: nn.Module, f: Callable[[torch.Tensor], torch.Tensor]) -> None:
        def hook(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            return (f(args[0]), *args[1:])

        self._hooks.append(module.register_forward_pre_hook(hook))

    def _attach(self) -> None:
        albert, layer = self.model.albert, self._layer_module
        embeddings, mapping = albert.embeddings, albert.encoder.embedding_hidden_mapping_in
        self._after(embeddings.word_embeddings, lambda x: self.embedding("word", x))
        # Types are looked up before positions: both are one table on the unit.
        self._after(embeddings.token_type_embeddings, self._keep_types)
        self._after(embeddings.position_embeddings, self._place)
        self._ahead(embeddings.LayerNorm, lambda x: self.embedding("embedded", x))
        self._after(embeddings.LayerNorm, lambda x: self.embedding("embedding_norm", x))
        self._after(mapping, self._start)
        self._ahead(layer, self._next)
        ends = {
            "q": "attention.query",
            "k": "attention.key",
            "v": "attention.value",
            "attention_output": "attention.dense",
            "norm1": "attention.LayerNorm",
            "gelu": "activation",
            "ffn2": "ffn_output",
            "norm2": "full_layer_layer_norm",
        }
        begins = {"add1": "attention.LayerNorm", "add2": "full_layer_layer_norm"}
        for name, path in begins.items():
            self._ahead(layer.get_submodule(path), self._named(name))
        for name, path in ends.items():
            self._after(layer.get_submodule(path), self._named(name))
        for index, ramp in enumerate(self.model.ramps):
            self._after(ramp, self._named("logits", index))
        setattr(self._attention, _OWNER, self)
        albert.set_attn_implementation(ATTENTION)

    def _named(self, name: str, layer: int | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: self.stage(name, x, layer)

    def _keep_types(self, x: torch.Tensor) -> torch.Tensor:
        self._types = x
        return torch.zeros_like(x)

    def _place(self, x: torch.Tensor) -> torch.Tensor:
        types, self._types = self._types, None
        return self.embedding("place", x if types is None else x + types)

    def _start(self, x: torch.Tensor) -> torch.Tensor:
        self.layer = -1
        return self.embedding("input", x)

    def _next(self, x: torch.Tensor) -> torch.Tensor:
        self.layer += 1
        return x


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    span_mask: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As ``spans.span_attention``, with rounded probabilities and context."""
    rounding: StageRounding = getattr(module, _OWNER)
    rate = dropout if module.training else 0.0
    mask = None if span_mask is None else _mask_rounded(span_mask)
    probabilities = masked_probabilities(query, key, attention_mask, scaling, rate, mask)
    probabilities = rounding.stage("probabilities", probabilities)
    context = torch.matmul(probabilities, value).transpose(1, 2).contiguous()
    return rounding.stage("context", context), probabilities


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)
