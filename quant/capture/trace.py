"""A PyTorch module as a functional graph of ATen operators, through torch.export."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

import torch
from torch.fx import Node
from torch.nn.parameter import is_lazy

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.capture.raised import reason
from shiftforge.quant.capture.running import as_input, evaluation, quiet
from shiftforge.quant.torch_cache import import_compiler

__all__ = ["BATCH", "Trace", "module_path", "module_type", "trace"]

# Two frames: an operator that drops or mixes the batch axis then shows in the shapes.
BATCH = 2


@dataclass(frozen=True)
class Trace:
    """The live part of an exported network.

    nodes: operator calls that the output depends on, in execution order.
    input: the image's placeholder. outputs: the nodes whose values the network returns, without
    the functions at their ends that are left to the host; host: these, "" where there is none.
    constants: parameters, buffers and constants by placeholder, with the names they have in the
    module.
    users: how many live readers each node has (being an output counts as one).
    """

    nodes: tuple[Node, ...]
    input: Node
    outputs: tuple[Node, ...]
    constants: dict[Node, tuple[str, torch.Tensor]]
    users: dict[Node, int]
    host: tuple[str, ...] = ()


def module_path(node: Node) -> str:
    """Path of the module that a traced operator belongs to, "" for the network itself."""
    stack = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    # A module called again is recorded as "path@1".
    return path.partition("@")[0]


def module_type(node: Node) -> str:
    """Class name of that module, such as "Hardswish"."""
    stack = node.meta.get("nn_module_stack") or {}
    if not stack:
        return ""
    kind = list(stack.values())[-1][1]
    return str(kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]


def _unusable(module: torch.nn.Module) -> list[Problem]:
    """Why the network cannot be traced at all: a compiled program, tensors without values."""
    where = type(module).__name__
    try:
        scripted = any(isinstance(m, torch.jit.ScriptModule) for m in module.modules())
        tensors = [*module.named_parameters(), *module.named_buffers()]
    except Exception as error:  # a module may override all of these
        remedy = "give a plain torch.nn.Module"
        return [Problem(f"its parameters cannot be listed: {reason(error)}", remedy, where)]
    if scripted:
        what = "it is a TorchScript program, which torch.export does not trace"
        remedy = (
            "give the torch.nn.Module it was made of, with load_state_dict(program.state_dict())"
        )
        return [Problem(what, remedy, where)]
    problems = Problems()
    for name, tensor in tensors:
        if is_lazy(tensor):
            remedy = "call the network once on an image, or give in_channels and in_features"
            problems.append(Problem("its shape is not known yet (lazy)", remedy, name))
        elif tensor.device.type == "meta":
            remedy = "load the weights, or make the network without device='meta'"
            problems.append(Problem("it holds no values (device meta)", remedy, name))
    return problems


def _unwritable(module: torch.nn.Module) -> list[str]:
    """Names of submodules and parameters that torch.export cannot write into its own code."""
    names = {part for name, _ in module.named_modules() for part in name.split(".") if part}
    names |= {name.rpartition(".")[2] for name, _ in module.named_parameters()}
    names |= {name.rpartition(".")[2] for name, _ in module.named_buffers()}
    return sorted(n for n in names if keyword.iskeyword(n) or not re.fullmatch(r"[\w-]+", n))


def _export(module: torch.nn.Module, shape: tuple[int, int, int]) -> torch.export.ExportedProgram:
    problems = Problems(_unusable(module))
    problems.stop()
    import_compiler()
    try:
        with quiet(), evaluation(module), torch.no_grad():
            example = as_input(module, torch.zeros(BATCH, *shape))
            # Functional form: in-place operators and aliases are gone, composite ones are kept.
            program = torch.export.export(module, (example,))
            functional: torch.export.ExportedProgram = program.run_decompositions({})
            return functional
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a forward raises, SystemExit too
        named = _unwritable(module) if isinstance(error, SyntaxError | UnicodeError) else []
        remedy = (
            "give a module whose forward takes one (N, C, H, W) tensor, accepts this shape (a "
            "factory's attribute input_shape = (C, H, W) sets another) and does not branch on "
            "values"
        )
        if named:
            remedy = f"rename what is called {', '.join(map(ascii, named))} in it: these are no "
            remedy += "names of Python"
        raise InputError(
            Problem(
                f"torch.export cannot trace the network on an input of shape {shape}: "
                f"{reason(error)}",
                remedy,
                type(module).__name__,
            )
        ) from error


def _left_to_host(output: Node) -> tuple[Node, str]:
    """(what the accelerator makes, the function that the host computes of it, or "").

    A sigmoid, or a softmax over the channels, that the network ends in.
    """
    name = str(output.target).removeprefix("aten.").rpartition(".")[0].lstrip("_")
    if (
        output.op != "call_function"
        or len(output.all_input_nodes) != 1
        or output.users.keys() - {own for own in output.users if own.op == "output"}
    ):
        return output, ""
    if name == "sigmoid":
        return output.all_input_nodes[0], name
    made = output.meta.get("val")
    dim = output.args[1] if len(output.args) > 1 else output.kwargs.get("dim")
    rank = made.ndim if isinstance(made, torch.Tensor) else 0
    if name in ("softmax", "log_softmax") and rank in (2, 4) and dim in (1, 1 - rank):
        return output.all_input_nodes[0], name
    return output, ""


def _live(outputs: tuple[Node, ...]) -> set[Node]:
    seen: set[Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(node.all_input_nodes)
    return seen


def trace(module: torch.nn.Module, shape: tuple[int, int, int]) -> Trace:
    """Trace module in evaluation mode on frames of shape (C, H, W).

    Raises InputError where torch.export fails, or the network has not one input, or no output.
    """
    program = _export(module, shape)
    signature = program.graph_signature
    placeholders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    by_name = {n.name: n for n in program.graph.nodes}
    inputs = [str(name) for name in signature.user_inputs if name in placeholders]
    outputs = [str(name) for name in signature.user_outputs if name in by_name]
    problems = Problems()
    if len(inputs) != 1:
        problems.append(Problem(f"the network takes {len(inputs)} tensors", "give it one image"))
    if not outputs:
        problems.append(Problem("the network returns no tensor", "return what it computes"))
    if len(set(outputs)) != len(outputs):
        problems.append(Problem("the network returns a tensor twice", "return it once"))
    problems.stop()
    ends = [_left_to_host(by_name[name]) for name in outputs]
    if len({node for node, _ in ends}) != len(ends):
        ends = [(by_name[name], "") for name in outputs]  # one is returned both ways
    made = tuple(node for node, _ in ends)
    live = _live(made)
    if placeholders[inputs[0]] not in live:
        remedy = "return what is computed from the image"
        problems.append(Problem("the network's output does not depend on its input", remedy))
        problems.stop()

    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants: dict[Node, tuple[str, torch.Tensor]] = {}
    for placeholder, name in names.items():
        node = placeholders[placeholder]
        if node in live:
            held = program.state_dict.get(name, program.constants.get(name))
            if isinstance(held, torch.Tensor):
                constants[node] = (name, held.detach().cpu())
    return Trace(
        nodes=tuple(n for n in program.graph.nodes if n in live and n.op != "placeholder"),
        input=placeholders[inputs[0]],
        outputs=made,
        constants=constants,
        users={n: sum(u in live for u in n.users) + (n in made) for n in live},
        host=tuple(kind for _, kind in ends),
    )
