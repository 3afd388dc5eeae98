"""Figures of merit, of grids and of surfaces, and their tables."""
