"""Quantisation schemes trained against each other on images."""
