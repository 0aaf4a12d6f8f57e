"""Named tensors: found in a checkpoint, and filled in, listing every one that does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from shiftforge.errors import InputError, Problem, Problems

__all__ = ["check_fit", "fill", "network_tensors", "require"]

REMEDY = "give the weights of an unmodified MobileNetV2"
_DEEPEST, _SHOWN = 4, 6
_LARGEST_KERNEL = 7
# "ema", "state_dict_ema", "model_ema.module", "ema_state_dict"
_AVERAGE = re.compile(r"(^|[._])ema([._]|$)")


def network_tensors(
    loaded: object, firsts: Sequence[str], where: str
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """(tensors of one network in a checkpoint, by its own names; lines on what was taken).

    firsts: names of which every such network has one. Training scripts wrap a state dict
    (``state_dict``, ``model_state_dict``, ``model``, ``ema``), and wrappers prefix its names
    (``module.``, ``_orig_mod.``, Lightning's ``model.``): taken where exactly one set of weights is
    there, or one beside its moving average (``ema``, ``state_dict_ema``), which is the one that was
    evaluated. Raises InputError that names the keys found where there is none, or are several.
    """
    sets = {n: own for first in firsts for n, own in _sets(loaded, "", first, _DEEPEST)}
    if not sets:
        what = f"no tensor is called {' or '.join(firsts)}; it holds {_keys(loaded)}"
        remedy = "give a MobileNetV2 of torchvision or timm (torch.save(model.state_dict(), PATH))"
        remedy += ", or load another network by package.module:factory"
        raise InputError(Problem(what, remedy, where))
    averaged = [name for name in sets if _AVERAGE.search(name)]
    beside = [name or "those without a prefix" for name in sets if name not in averaged]
    if len(averaged) == 1 and beside:
        sets = {averaged[0]: sets[averaged[0]]}
    if len(sets) > 1:
        names = [name or "those without a prefix" for name in sets]
        what = f"it holds {len(sets)} sets of weights: {_listed(names)}"
        remedy = "save one of them alone: torch.save({name of tensor: tensor, ...}, NEW_PATH)"
        raise InputError(Problem(what, remedy, where))
    (name, (tensors, left)) = next(iter(sets.items()))
    notes = [f"the weights are those under {name}"] if name else []
    if name in averaged and beside:
        notes.append(f"they are a moving average; leaving aside {_listed(beside)}")
    if left:
        notes.append(f"leaving aside {_listed(left)}")
    return tensors, tuple(notes)


def _sets(
    held: object, path: str, first: str, depth: int
) -> Iterator[tuple[str, tuple[dict[str, torch.Tensor], list[str]]]]:
    """Every set of tensors that has a tensor of the first name, with where it stands."""
    if not isinstance(held, Mapping) or depth == 0:
        return
    tensors = {str(n): tensor for n, tensor in held.items() if isinstance(tensor, torch.Tensor)}
    # torch.compile's own level may stand anywhere in a name; not where both names are there.
    plain = {name.replace("_orig_mod.", ""): tensor for name, tensor in tensors.items()}
    if len(plain) == len(tensors):
        tensors = plain
    for name in tensors:
        if name == first or name.endswith(f".{first}"):
            prefix = name.removesuffix(first)
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            left = [n for n in tensors if not n.startswith(prefix)]
            yield f"{path}{prefix}".rstrip("."), (own, left)
    for key, value in held.items():
        yield from _sets(value, f"{path}{key}.", first, depth - 1)


def _keys(loaded: object) -> str:
    if not isinstance(loaded, Mapping):
        return f"a {type(loaded).__name__}"
    return _listed(list(loaded)) if loaded else "nothing"


def _listed(names: Sequence[object]) -> str:
    more = f" and {len(names) - _SHOWN} others" if len(names) > _SHOWN else ""
    return ", ".join(ascii(str(name))[1:-1][:60] for name in names[:_SHOWN]) + more


def fill(
    module: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    where: str,
    spelled: Callable[[str], str] = str,
) -> None:
    """Copy tensors into module's parameters and buffers, as ``check_fit`` names them.

    Raises InputError as ``check_fit`` does.
    """
    check_fit(module, tensors, where, spelled)
    given = {name: tensors.get(spelled(name)) for name in module.state_dict()}
    module.load_state_dict({n: t for n, t in given.items() if t is not None}, strict=False)


def check_fit(
    module: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    where: str,
    spelled: Callable[[str], str] = str,
) -> None:
    """Raise InputError listing all missing, left over and misshapen tensors.

    spelled: what the tensors' file calls a name of the module's. Batch norm's counter of batches
    may be missing: it plays no part in inference. The module may be on the device meta.
    """
    wanted = {spelled(name): held for name, held in module.state_dict().items()}
    problems = Problems()
    for name, held in wanted.items():
        given = tensors.get(name)
        if given is None:
            if not name.endswith("num_batches_tracked"):
                problems.append(Problem(f"tensor {name} is missing", REMEDY, where))
        elif given.shape != held.shape:
            problems.append(
                Problem(
                    f"tensor {name} has shape {tuple(given.shape)}, not {tuple(held.shape)}",
                    REMEDY,
                    where,
                )
            )
        elif held.is_floating_point() and not given.is_floating_point():
            what = f"tensor {name} holds {given.dtype}"
            problems.append(Problem(what, "save it as floating point", where))
    for name in sorted(set(tensors) - set(wanted)):
        problems.append(Problem(f"tensor {name} belongs to no layer", REMEDY, where))
    problems.stop()


def require(tensors: Mapping[str, torch.Tensor], name: str, rank: int, where: str) -> torch.Tensor:
    """One tensor of the given rank, or InputError; of rank 4 with a square kernel of at most 7."""
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != rank:
        raise InputError(
            Problem(
                f"there is no tensor {name} of {rank} dimensions",
                REMEDY,
                where,
            )
        )
    kernel = tensor.shape[2:]
    if min(tensor.shape) < 1 or len(set(kernel)) > 1 or max(kernel, default=1) > _LARGEST_KERNEL:
        what = f"tensor {name} has shape {tuple(tensor.shape)}"
        raise InputError(Problem(what, REMEDY, where))
    return tensor
