"""Trained ALBERT classifiers: optimisations, latency-aware inference, words in ReRAM."""
