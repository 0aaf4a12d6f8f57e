"""Proofs of whole networks, from torch to counted cycles, in stages that keep their records."""
