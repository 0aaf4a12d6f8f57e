"""Rules on attributes: names the offline compiler knows, and values it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from shiftforge.generator.rules.constants import evaluate
from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.syntax import Attribute, Program

__all__ = ["check_attributes"]

_Test = Callable[[int], bool]


def _power_of_two(n: int) -> bool:
    return n > 0 and n & (n - 1) == 0


def _positive(n: int) -> bool:
    return n > 0


def _not_negative(n: int) -> bool:
    return n >= 0


def _flag(n: int) -> bool:
    return n in (0, 1)


# Attributes whose arguments are integers: how few and how many, the test, and what it asks for.
_INTEGERS: Mapping[str, tuple[int, int, _Test, str]] = {
    "numbanks": (1, 1, _power_of_two, "a power of two"),
    "bankwidth": (1, 1, _power_of_two, "a power of two"),
    "bank_bits": (1, 32, _not_negative, "bit positions of 0 or more"),
    "numreadports": (1, 1, _positive, "1 or more"),
    "numwriteports": (1, 1, _positive, "1 or more"),
    "max_replicates": (1, 1, _positive, "1 or more"),
    "private_copies": (1, 1, _not_negative, "0 or more"),
    "force_pow2_depth": (1, 1, _flag, "0 or 1"),
    "max_global_work_dim": (1, 1, lambda n: 0 <= n <= 3, "0 to 3"),
    "uses_global_work_offset": (1, 1, _flag, "0 or 1"),
    "reqd_work_group_size": (3, 3, _positive, "three sizes of 1 or more"),
    "max_work_group_size": (1, 3, _positive, "1 or more"),
    "work_group_size_hint": (3, 3, _positive, "three sizes of 1 or more"),
    "num_compute_units": (1, 3, _positive, "1 or more"),
    "num_simd_work_items": (1, 1, lambda n: _power_of_two(n) and n <= 16, "1, 2, 4, 8 or 16"),
    "scheduler_target_fmax_mhz": (1, 1, _positive, "1 or more"),
    "local_mem_size": (1, 1, _power_of_two, "a power of two"),
    "aligned": (0, 1, _power_of_two, "a power of two"),
    "opencl_unroll_hint": (0, 1, _positive, "1 or more"),
}
# Attributes without arguments.
_BARE = frozenset(
    [
        "register",
        "singlepump",
        "doublepump",
        "simple_dual_port",
        "autorun",
        "packed",
        "always_inline",
        "noinline",
        "unused",
        "stall_enable",
        "use_stall_enable_clusters",
    ]
)
_STRINGS: Mapping[str, tuple[str, ...]] = {"memory": ('"BLOCK_RAM"', '"MLAB"')}
# Known, with arguments that are not looked at here ("depth" has a rule of its own).
_OTHER = frozenset(["depth", "io", "merge", "buffer_location", "vec_type_hint"])


def check_attributes(program: Program) -> Iterator[RuleViolation]:
    """Check every attribute of the file: of kernels, channels and variables."""
    found = [(f.name if f.kernel else "", a) for f in program.functions for a in f.attributes]
    found += [("", a) for c in program.channels for a in c.attributes]
    kernels = {f.name for f in program.kernels}
    found += [(name if name in kernels else "", a) for name, a in program.variable_attributes]
    for kernel, attribute in dict.fromkeys(found):
        problem = _problem(attribute, program.constants)
        if problem is not None:
            yield violation("attribute-value", kernel, attribute.line, *problem)
        elif attribute.name not in _INTEGERS.keys() | _BARE | _STRINGS.keys() | _OTHER:
            yield violation(
                "attribute-name",
                kernel,
                attribute.line,
                f"{attribute.name} is no attribute that the offline compiler knows",
                "correct the name or remove the attribute",
            )


def _problem(attribute: Attribute, constants: Mapping[str, int]) -> tuple[str, str] | None:
    """Message and remedy for a value that is not legal."""
    arguments = attribute.arguments or ()
    shown = ", ".join(" ".join(t.text for t in a) for a in arguments)
    text = f"{attribute.name}({shown})"
    if attribute.name in _INTEGERS:
        fewest, most, test, wanted = _INTEGERS[attribute.name]
        values = [evaluate(a, constants) for a in arguments]
        if not fewest <= len(values) <= most or any(v is None or not test(v) for v in values):
            return f"{text} is not legal", f"{attribute.name} takes {wanted}"
    elif attribute.name in _STRINGS:
        allowed = _STRINGS[attribute.name]
        if len(arguments) > 1 or (arguments and shown not in allowed):
            return f"{text} is not legal", f"{attribute.name} takes {' or '.join(allowed)}"
    elif attribute.name in _BARE and arguments:
        return f"{text} is not legal", f"{attribute.name} takes no value"
    return None
