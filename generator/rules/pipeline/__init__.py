"""What the offline compiler pipelines: loops with their trip counts, II and limits."""

from shiftforge.generator.rules.pipeline.table import LoopEntry, loop_table, to_json
from shiftforge.generator.rules.pipeline.target import DEFAULT, Target

__all__ = ["DEFAULT", "LoopEntry", "Target", "loop_table", "to_json"]
