"""What all that is built on nerfstudio shares: models that carry their description, results at the end of a training,
and the one place that works around nerfstudio's defects."""
