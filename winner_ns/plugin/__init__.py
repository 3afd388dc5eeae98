"""nerfstudio's side of fitting signals: methods, trainer, data manager, model, pipeline."""
