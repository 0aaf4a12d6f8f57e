"""The integer reference of the EdgeBERT processing unit (docs/EDGEBERT_UNIT.md).

Written from the formulas with Python integers and numpy's int64, and shares no function with the
number formats, the emitters or the kernels.
"""
