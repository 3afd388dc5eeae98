"""Photographs with poses as data: folders, images, cameras, and how finely they show a scene."""
