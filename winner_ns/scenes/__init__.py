"""Posed photographs: scenes, and the radiance and surface fields that are trained through volume rendering."""
