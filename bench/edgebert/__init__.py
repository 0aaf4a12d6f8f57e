"""The EdgeBERT unit: area, simulated cycles, and integers at the sizes of ALBERT-base."""
