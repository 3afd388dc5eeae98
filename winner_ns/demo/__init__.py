"""What the demo fits."""
