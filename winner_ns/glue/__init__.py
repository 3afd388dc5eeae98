"""What all that is built on nerfstudio shares: models that carry their description, results at the end of a training,
and the places that work around the defects of nerfstudio and of its viewers."""
