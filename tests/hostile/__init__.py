"""Mutated files of every accepted kind, read by the commands in processes with limits on time and memory."""
