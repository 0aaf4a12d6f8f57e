"""Benchmarks: scripts by what they measure, and what they share. See README.md."""
