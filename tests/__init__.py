"""Tests; a package, so that python -m tests.hostile is found before those that other packages install by that name."""
