"""The fields of a MobileNetV2's config.json that the network is built by, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from shiftforge.errors import Problem, Problems
from shiftforge.fields import read_fields

__all__ = ["NetworkConfig", "network_config"]

REMEDY = "mend the field, or save the model again"
_MOST_LABELS = 1 << 20
Count = Annotated[int, Ge(1), Le(1024)]
Factor = Annotated[float, Gt(0), Le(16)]


@dataclass(frozen=True)
class NetworkConfig:
    """transformers' MobileNetV2Config, with its defaults and their bounds."""

    num_channels: Annotated[int, Ge(1), Le(64)] = 3
    image_size: Annotated[int, Ge(1), Le(4096)] = 224
    depth_multiplier: Factor = 1.0
    depth_divisible_by: Count = 8
    min_depth: Count = 8
    expand_ratio: Factor = 6.0
    output_stride: Literal[8, 16, 32] = 32
    first_layer_is_expansion: bool = True
    finegrained_output: bool = True
    hidden_act: Literal["relu6", "relu"] = "relu6"
    tf_padding: bool = True
    layer_norm_eps: Annotated[float, Gt(0), Le(1)] = 0.001
    num_labels: Annotated[int, Ge(1), Le(_MOST_LABELS)] = 0

    def settings(self, outputs: int) -> dict[str, Any]:
        """What MobileNetV2Config.from_dict takes. outputs: of the classifier."""
        return {**asdict(self), "num_labels": outputs}


def network_config(
    config: Mapping[str, Any], outputs: int | None, where: str
) -> tuple[NetworkConfig, tuple[str, ...]]:
    """The checked fields, and the class names of ``id2label`` (none where it has none).

    outputs: of the classifier, from its weights; None where they have none. Raises InputError that
    names every field of another type or out of its bounds. Fields that the network is not built by
    are ignored.
    """
    problems = Problems()
    found = problems.check(read_fields, NetworkConfig, config, where, REMEDY)
    labels: tuple[str, ...] = ()
    named = config.get("id2label")
    if "id2label" in config:
        if (
            not isinstance(named, dict)
            or len(named) > _MOST_LABELS
            or not all(isinstance(text, str) for text in named.values())
        ):
            what = "id2label: is no object of texts by their numbers"
            problems.append(Problem(what, REMEDY, where))
        elif outputs is not None and len(named) != outputs:
            what = f"id2label: has {len(named)} names, the classifier has {outputs} outputs"
            problems.append(Problem(what, REMEDY, where))
        elif set(named) != {str(n) for n in range(len(named))}:
            what = f"id2label: is not numbered from 0 to {len(named) - 1}"
            problems.append(Problem(what, REMEDY, where))
        else:
            labels = tuple(named[str(n)] for n in range(len(named)))
    if found is not None and outputs is not None and found.num_labels not in (0, outputs):
        what = f"num_labels: {found.num_labels}, the classifier has {outputs} outputs"
        problems.append(Problem(what, REMEDY, where))
    problems.stop()
    assert found is not None
    return found, labels
