"""Scenes learnt from posed photographs through nerfstudio's rays: radiance fields and surfaces."""
