"""Readers of trained networks: one module for each kind of file."""
