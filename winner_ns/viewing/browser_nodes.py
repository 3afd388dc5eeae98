"""The nodes of one browser's scene: handed over, swapped without a blank frame, and taken away."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Collection, Dict, Hashable, Tuple

import numpy as np
import viser

from winner_ns.glue.viewer_defects import remove_node
from winner_ns.viewing.drawing import Part, Pose

LOADING = 0.15
"""Seconds that a browser gets to decode what it has received, before it is shown in the place of something else:
viser's page shows a blank picture until then, and does not say when it is done."""

BYTES_A_SECOND = 2e7
"""Of a mesh, which takes longer."""

Place = Tuple[int, Hashable]
"""Which drawing, and the key of the part."""


@dataclass
class Node:
    """What stands in one place of the browser's scene."""

    handle: viser.SceneNodeHandle
    subject: Hashable
    """What was asked for when it was drawn."""
    state: Hashable
    """Of the fields."""
    made: Any
    """What was handed over."""
    loaded: float
    """When it has been loaded, most likely."""


class BrowserNodes:
    """viser's nodes cannot be given another picture, and one that is added by a name in use is blank until it is
    loaded. So each is added by a name of its own, hidden, and shown when the browser has had the time to load it,
    before the one in its place is taken away. No name is used again: a page that hears of a removal and of a new node
    by that name at once, as it does when it comes to the front again, takes the one for a change of the other, and of
    meshes it shows both.

    Args:
        client: the browser.
    """

    def __init__(self, client: viser.ClientHandle) -> None:
        self._client = client
        self._shown: Dict[Place, Node] = {}
        self._loading: Dict[Place, Node] = {}
        self._names = 0

    def has(self, place: Place, subject: Hashable, state: Hashable = None) -> bool:
        """Whether a subject stands there already, or is about to; in this state, or in any."""
        node = self._loading.get(place) or self._shown.get(place)
        return node is not None and node.subject == subject and state in (None, node.state)

    def put(self, place: Place, part: Part, made: Any, pose: Pose, subject: Hashable, state: Hashable) -> None:
        """Hands a part over, to be shown in this place a little later; not where it is what is shown there already, as
        the original's is in every state of the fields."""
        shown = self._shown.get(place)
        if shown is not None and shown.subject == subject and place not in self._loading and _same(shown.made, made):
            shown.state = state
            return
        self._names += 1
        takes = LOADING + (len(made) / BYTES_A_SECOND if isinstance(made, bytes) else 0.0)
        handle = part.add(self._client.scene, f"/signal/{self._names}", made, pose, visible=False)
        if place in self._loading:
            self._remove(self._loading[place])
        self._loading[place] = Node(handle, subject, state, made, time.monotonic() + takes)

    def reveal(self, wait: bool = False) -> None:
        """Shows what has been loaded by now; or, after a while, all of it."""
        if wait and self._loading:
            time.sleep(max(max(node.loaded for node in self._loading.values()) - time.monotonic(), 0.0))
        ready = [place for place, node in self._loading.items() if wait or time.monotonic() > node.loaded]
        if not ready:
            return
        for place in ready:
            node = self._loading.pop(place)
            node.handle.visible = True
            # What refines another subject's picture would cover this one.
            others = [p for p, n in self._shown.items() if p[0] == place[0] and n.subject != node.subject]
            for replaced in {place, *others} & set(self._shown):
                self._remove(self._shown.pop(replaced))
            self._shown[place] = node

    def keep_only(self, places: Collection[Place]) -> None:
        """Takes all else away."""
        for nodes in (self._loading, self._shown):
            for place in set(nodes) - set(places):
                self._remove(nodes.pop(place))

    def _remove(self, node: Node) -> None:
        remove_node(self._client, node.handle)


def _same(one: Any, other: Any) -> bool:
    return one == other if isinstance(one, bytes) else np.array_equal(one, other)
