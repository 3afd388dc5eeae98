"""Benchmarks: presets that say what is compared, cells that are trained, and one report of them."""
