"""Benchmarks: the training step, the reference recipe, equal time."""
