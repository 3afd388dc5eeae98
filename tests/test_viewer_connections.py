"""viser's connections, as winner_ns mends them: no browser that goes leaves the others or a thread waiting."""

from __future__ import annotations

from threading import Event, Thread
from time import sleep

import msgspec
import numpy as np
import pytest
import viser
from websockets.sync.client import connect

import winner_ns.glue.viewer_defects  # noqa: F401
from winner_ns.viewing.browser_nodes import BrowserNodes
from winner_ns.viewing.drawing import Painted, Pose

HERE = (0.0, 0.0, 1.0)


def until(condition):
    """Waits for what other threads do."""
    for _ in range(1000):
        if condition():
            return
        sleep(0.01)
    raise AssertionError("waited in vain")


def at_once(function):
    """Does something in a thread of its own, which must come to an end."""
    thread = Thread(target=function, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def server():
    server = viser.ViserServer(host="127.0.0.1", verbose=False)
    yield server
    at_once(server.stop)


def browser(server):
    return connect(f"ws://127.0.0.1:{server.get_port()}", max_size=None, compression=None, proxy=None)


def look_from(socket, position):
    """Says where the camera is, as viser's page does."""
    camera = {"fov": 1.0, "aspect": 1.5, "wxyz": (1.0, 0.0, 0.0, 0.0), "position": position}
    orbit = {"look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 1.0, 0.0)}
    socket.send(msgspec.msgpack.encode({"type": "ViewerCameraMessage", **camera, **orbit}))


def test_a_motion_that_is_looked_at_after_its_browser_has_gone_locks_nobody_out(server, capfd):
    """nerfstudio looks up the browser's own things then, within viser's `atomic`, and they are not there."""
    things, moved, gone = {}, Event(), Event()

    @server.on_client_connect
    def _(client):
        things[client.client_id] = client

        @client.camera.on_update
        def _(camera):
            if tuple(camera.position) != HERE:
                moved.set()
                gone.wait(10)
                with server.atomic():
                    things[client.client_id]

    @server.on_client_disconnect
    def _(client):
        del things[client.client_id]
        gone.set()

    text = server.gui.add_markdown("before")
    with browser(server) as socket:
        look_from(socket, HERE)
        until(server.get_clients)
        look_from(socket, (0.0, 0.0, 2.0))
        assert moved.wait(10)
    assert gone.wait(10)

    def say():
        with server.atomic():
            text.content = "after"

    at_once(say)
    with browser(server) as socket:
        look_from(socket, HERE)
        until(server.get_clients)
        messages = []
        while not any("after" in message.get("updates", {}).values() for message in messages):
            messages += msgspec.msgpack.decode(socket.recv(timeout=10))
    assert "KeyError" not in capfd.readouterr().err


def test_a_mistake_within_atomic_is_said_and_locks_nobody_out(server):
    with pytest.raises(LookupError), server.atomic(), server.atomic():
        raise LookupError

    def use():
        with server.atomic():
            pass

    at_once(use)


def test_who_has_gone_before_it_was_welcomed_does_not_stay(server):
    """Its first word waits while it goes, as it may on a busy machine."""
    there, came, connections, gone = set(), [], [], Event()
    server._websock_server.on_client_connect(connections.append)
    server._websock_server.on_client_disconnect(lambda _: gone.set())
    server.on_client_connect(lambda client: (came.append(client.client_id), there.add(client.client_id)))
    server.on_client_disconnect(lambda client: there.discard(client.client_id))
    with browser(server) as socket:
        until(lambda: connections)
        with connections[0].atomic():
            look_from(socket, HERE)
            sleep(0.1)
            socket.close()
            assert gone.wait(10)
            assert not server.get_clients()
    until(lambda: came)
    until(lambda: not there and not server.get_clients())


def test_what_is_said_when_a_program_ends_is_passed_over(server, caplog):
    with browser(server) as socket:
        look_from(socket, HERE)
        until(server.get_clients)
        server._websock_server._thread_executor.shutdown()  # As the interpreter does first.
        look_from(socket, HERE)
    until(lambda: not server.get_clients())
    assert not caplog.records


def test_nodes_of_a_scene_have_names_of_their_own_and_leave_nothing_behind(server):
    """Also for a browser that does not get to hear of them in time."""
    picture, pose, added, pictures, names = Painted(0, 0, 1, 1, 2, 2, paint=None), Pose(), [], 20, set()
    server._websock_server.on_client_connect(added.append)
    with browser(server) as socket:
        look_from(socket, HERE)
        until(server.get_clients)
        (client,) = server.get_clients().values()
        buffer = added[0]._state.message_buffer
        nodes = BrowserNodes(client)
        busy, free = Event(), Event()
        buffer.event_loop.call_soon_threadsafe(lambda: (busy.set(), free.wait(10)))
        assert busy.wait(10)
        for number in range(pictures):
            nodes.put((0, "whole"), picture, np.full((2, 2, 3), number, np.uint8), pose, number, None)
            names |= set(client.scene._handle_from_node_name)
        waiting = [type(message).__name__ for message in buffer.message_from_id.values()]
        free.set()
        assert len(names) == pictures and len(client.scene._handle_from_node_name) == 1
        assert waiting.count("ImageMessage") == 1
        nodes.reveal(wait=True)
        messages = []
        while not any(message.get("visible") for message in messages):
            messages += msgspec.msgpack.decode(socket.recv(timeout=10))
        (shown,) = [message["name"] for message in messages if message["type"] == "ImageMessage"]
        assert [message["name"] for message in messages if message.get("visible")] == [shown]
