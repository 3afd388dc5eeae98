"""Level sets of fitted shapes as triangle meshes."""
