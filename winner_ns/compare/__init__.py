"""Finished runs of the same signal beside each other: `winner-ns compare`."""
