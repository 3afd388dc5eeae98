"""Mesh formats, each by a strict reader: what a file means is read by value, or refused in one line."""
