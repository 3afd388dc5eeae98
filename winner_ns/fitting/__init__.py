"""The glue to nerfstudio: data managers, models, pipeline, trainer."""
