"""From a finished run to files that other programs read: images, sounds, meshes, arrays, field files, comparisons."""
