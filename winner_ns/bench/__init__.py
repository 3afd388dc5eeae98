"""Benchmarks: presets with one report, and the training step, the reference recipe, equal time."""
