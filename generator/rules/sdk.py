"""Which attributes and loop pragmas an edition and version of Intel's SDK lists.

A name counts as listed where a guide of that edition, of that version or an earlier one, has it.
Where the first version is not known, the first one whose guide was read stands here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shiftforge.generator.rules.registry import RuleViolation, violation
from shiftforge.generator.rules.syntax import Attribute, Program

__all__ = ["LISTED", "Listed", "SdkVersion", "check_sdk"]

_STANDARD = "Standard Edition Programming Guide (683342, version 18.1), "
_PRO = "Pro Edition Programming Guide (683846, version 22.4), "
_LOOPS = "5.2 Loop Pragmas"
_MEMORY = "12.2 Kernel Attributes for Configuring Local and Private Memory Systems, table 14"
_PRO_MEMORY = "11.2 Memory Attributes for Configuring Kernel Memory Systems, table 21"
_REPORTS = "compiled with this version by public repositories (compiler reports of 19.2 and 19.4)"


@dataclass(frozen=True)
class SdkVersion:
    """edition: "pro" or "standard"; version: as board files spell it, such as "18.1"."""

    edition: str
    version: str

    @property
    def number(self) -> tuple[int, ...]:
        """The version for comparisons."""
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())


@dataclass(frozen=True)
class Listed:
    """since: the first version of each edition that lists it. arguments: whether it may have any
    there (None: as usual). source: where that is said."""

    standard: tuple[int, ...] | None
    pro: tuple[int, ...] | None
    source: str
    bare_before: Mapping[str, tuple[int, ...]] | None = None


_BOTH = _STANDARD + _MEMORY + "; " + _PRO + _PRO_MEMORY
_FIRST = (17, 0)
# Assumption: the argument came with 19.1; the Pro guides that were read (21.4, 22.4) have it.
_ONLY_BARE: Mapping[str, tuple[int, ...]] = {"standard": (99,), "pro": (19, 1)}

LISTED: Mapping[str, Listed] = {
    # Memories.
    "register": Listed(_FIRST, _FIRST, _BOTH),
    "memory": Listed(_FIRST, _FIRST, _BOTH, _ONLY_BARE),
    "numbanks": Listed(_FIRST, _FIRST, _BOTH),
    "bankwidth": Listed(_FIRST, _FIRST, _BOTH),
    "singlepump": Listed(_FIRST, _FIRST, _BOTH),
    "doublepump": Listed(_FIRST, _FIRST, _BOTH),
    "numreadports": Listed(_FIRST, (17, 0), _BOTH),
    "numwriteports": Listed(_FIRST, (17, 0), _BOTH),
    "merge": Listed(_FIRST, _FIRST, _BOTH),
    "bank_bits": Listed(_FIRST, _FIRST, _BOTH),
    "max_replicates": Listed(None, (21, 4), _PRO + _PRO_MEMORY),
    "private_copies": Listed(None, (21, 4), _PRO + _PRO_MEMORY),
    "force_pow2_depth": Listed(None, (21, 4), _PRO + _PRO_MEMORY),
    "simple_dual_port": Listed(None, (21, 2), _PRO + "C Document Revision History, 2021.06.23"),
    # Kernels.
    "max_global_work_dim": Listed(_FIRST, _FIRST, _STANDARD + "12.3.1.1; " + _PRO + "11.3.1.1"),
    "autorun": Listed(_FIRST, _FIRST, _STANDARD + "12.3.1.2; " + _PRO + "11.3.1.2"),
    "num_compute_units": Listed(_FIRST, _FIRST, _STANDARD + "5; " + _PRO + "5"),
    "num_simd_work_items": Listed(_FIRST, _FIRST, _STANDARD + "5; " + _PRO + "5"),
    "reqd_work_group_size": Listed(_FIRST, _FIRST, "The OpenCL Specification 1.0, 6.7.2"),
    "max_work_group_size": Listed(_FIRST, _FIRST, _STANDARD + "5; " + _PRO + "5"),
    "work_group_size_hint": Listed(_FIRST, _FIRST, "The OpenCL Specification 1.0, 6.7.2"),
    "vec_type_hint": Listed(_FIRST, _FIRST, "The OpenCL Specification 1.0, 6.7.2"),
    "uses_global_work_offset": Listed(None, (19, 1), _REPORTS),
    "scheduler_target_fmax_mhz": Listed(None, (19, 1), _PRO + "11"),
    "use_stall_enable_clusters": Listed(None, (21, 4), _PRO + "11"),
    "stall_enable": Listed(None, (21, 4), _PRO + "11"),
    # Channels, types and arguments.
    "depth": Listed(_FIRST, _FIRST, _STANDARD + "5.4; " + _PRO + "5.4.5.7"),
    "io": Listed(_FIRST, _FIRST, _STANDARD + "5.4; " + _PRO + "5.4.5"),
    "buffer_location": Listed(_FIRST, _FIRST, _STANDARD + "5; " + _PRO + "5"),
    "local_mem_size": Listed(_FIRST, _FIRST, _STANDARD + "5; " + _PRO + "5"),
    "packed": Listed(_FIRST, _FIRST, "The OpenCL Specification 1.0, 6.10"),
    "aligned": Listed(_FIRST, _FIRST, "The OpenCL Specification 1.0, 6.10"),
    "opencl_unroll_hint": Listed(None, (19, 1), "The OpenCL Specification 2.0, 6.11.5"),
}
PRAGMAS: Mapping[str, Listed] = {
    "unroll": Listed(_FIRST, _FIRST, _STANDARD + _LOOPS + "; " + _PRO + "5.2.1"),
    "ivdep": Listed(_FIRST, _FIRST, _STANDARD + _LOOPS + "; " + _PRO + "5.2"),
    "ii": Listed((18, 1), (18, 0), _STANDARD + _LOOPS + "; " + _PRO + "5.2"),
    "loop_coalesce": Listed((17, 1), (17, 1), _STANDARD + _LOOPS + "; " + _PRO + "5.2"),
    "max_concurrency": Listed((17, 1), (17, 1), _STANDARD + "5.2.4; " + _PRO + "5.2"),
    "disable_loop_pipelining": Listed(None, (19, 4), _PRO + "5.2; " + _REPORTS),
    "speculated_iterations": Listed(None, (19, 1), _PRO + "5.2.8"),
    "max_interleaving": Listed(None, (19, 4), _PRO + "5.2"),
    "nofusion": Listed(None, (21, 4), _PRO + "5.2"),
    "loop_fuse": Listed(None, (21, 4), _PRO + "5.2"),
}


def check_sdk(program: Program, sdk: SdkVersion) -> Iterator[RuleViolation]:
    """Attributes and loop pragmas of the file that the edition and version does not list."""
    kernels = {f.name for f in program.kernels}
    found = [(f.name if f.kernel else "", a) for f in program.functions for a in f.attributes]
    found += [("", a) for c in program.channels for a in c.attributes]
    found += [(name if name in kernels else "", a) for name, a in program.variable_attributes]
    for kernel, attribute in dict.fromkeys(found):
        problem = _attribute(attribute, sdk)
        if problem:
            yield violation(
                "sdk-attribute",
                kernel,
                attribute.line,
                f"{problem} by the {sdk.edition} edition, version {sdk.version}",
                "leave it out, or name an SDK that has it in the board file",
                subject=attribute.name,
            )
    for token in program.pragmas:
        word = token.text.partition(" ")[0]
        listed = PRAGMAS.get(word)
        if word != "OPENCL" and (listed is None or not _has(listed, sdk)):
            yield violation(
                "sdk-pragma",
                "",
                token.line,
                f"pragma {word} is not listed by the {sdk.edition} edition, version {sdk.version}",
                "leave it out, or name an SDK that has it in the board file",
                subject=word,
            )


def _has(listed: Listed, sdk: SdkVersion) -> bool:
    since = listed.pro if sdk.edition == "pro" else listed.standard
    return since is not None and sdk.number >= since


def _attribute(attribute: Attribute, sdk: SdkVersion) -> str:
    listed = LISTED.get(attribute.name)
    if listed is None or not _has(listed, sdk):
        return f"attribute {attribute.name} is not listed"
    bare = (listed.bare_before or {}).get(sdk.edition)
    if bare is not None and sdk.number < bare and attribute.arguments:
        return f"attribute {attribute.name} is listed without an argument"
    return ""
