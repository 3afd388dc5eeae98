"""What a field file of some kilobytes says of its original's size costs nothing until a user asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from test_description import IMAGE, SHAPE, SOUND, VIDEO, changed, field_of
from test_strangers_runs import refused, said

from winner_ns.errors import SignalError
from winner_ns.export.audio import export_audio
from winner_ns.export.image import export_image
from winner_ns.export.resampling import MOST_AVERAGED
from winner_ns.export.volume import export_volume
from winner_ns.fields.files import LoadedField, save_field
from winner_ns.rays.neus_mesh import rebuild_surface
from winner_ns.viewing.player import player
from winner_ns.viewing.signal_view import ViewSettings


def claiming(shape, plain=IMAGE) -> LoadedField:
    """A field that says that its original had such a size."""
    return field_of(changed(plain, "signal.shape", list(shape)))


@pytest.fixture
def file_of(tmp_path):
    return lambda field: save_field(tmp_path / "field.safetensors", field.network, field.description)


def test_a_claimed_picture_is_written_in_the_size_that_is_asked_for_alone(file_of, tmp_path, capfd):
    field = claiming((40_000, 40_000))
    file, output = file_of(field), tmp_path / "out.npy"
    assert "--size 40000 40000" in refused(capfd, "export", "image", file, "-o", output)
    assert "--size 80000 80000" in refused(capfd, "export", "image", file, "-o", output, "--scale", 2)
    assert "--size: is 6 8, and the scale 2" in refused(
        capfd, "export", "image", file, "-o", output, "--size", 6, 8, "--scale", 2
    )
    assert not output.exists()

    assert said(capfd, "export", "image", file, "-o", output, "--size", 6, 8, "--bit-depth", 32)[0] == 0
    # The mean of so many points a pixel as there may be, evenly spread over its area.
    rows, columns = ((np.arange(n * MOST_AVERAGED) + 0.5) / (n * MOST_AVERAGED) * 40_000 - 0.5 for n in (6, 8))
    y, x = (extent * (at * 2 / 39_999 - 1) for extent, at in ((0.6, rows), (1.0, columns)))
    values = field(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)).reshape(6, 16, 8, 16, 3).mean((1, 3))
    np.testing.assert_allclose(np.load(output), values / 255, atol=1e-4)

    assert said(capfd, "export", "image", file, "-o", tmp_path / "small.png", "--scale", 0.0002)[0] == 0
    assert Image.open(tmp_path / "small.png").size == (8, 8)


def test_the_size_may_be_asked_for_where_nothing_is_claimed(tmp_path):
    """As the scale that comes to the same."""
    field = claiming((24, 40))
    scaled, sized = tmp_path / "scaled.png", tmp_path / "sized.png"
    export_image(field, scaled, scale=0.5)
    reports = []
    export_image(field, sized, size=(12, 20), report=lambda *told: reports.append(told))
    assert scaled.read_bytes() == sized.read_bytes()
    assert reports and {(what, total) for what, _, total in reports} == {("evaluating the field", 12)}
    for size in ((12,), (0, 20), (12, 20, 1), (2**20, 2**20)):
        with pytest.raises(SignalError, match="is none of this signal"):
            export_image(field, sized, size=size)


def test_a_claimed_film_keeps_its_frames(file_of, tmp_path, capfd):
    file, output = file_of(claiming((9, 40_000, 40_000), VIDEO)), tmp_path / "out.npy"
    assert "--size 9 40000 40000" in refused(capfd, "export", "volume", file, "-o", output)
    assert "another number of frames; give 9" in refused(
        capfd, "export", "volume", file, "-o", output, "--size", 5, 4, 6
    )
    assert said(capfd, "export", "volume", file, "-o", output, "--size", 9, 4, 6)[0] == 0
    assert np.load(output).shape == (9, 4, 6, 3)
    many = claiming((2**30, 4, 4), VIDEO)
    with pytest.raises(SignalError, match="not evaluated unasked"):
        export_volume(many, output)


def test_a_claimed_sound_is_written_as_long_as_is_asked_for(file_of, tmp_path, capfd):
    field = claiming((2**35,), SOUND)
    file, output = file_of(field), tmp_path / "out.npy"
    for flags in ([], ["--sample-rate", 1], ["--sample-rate", 16_000]):
        assert "--duration" in refused(capfd, "export", "audio", file, "-o", output, *flags)
    assert not output.exists()
    assert said(capfd, "export", "audio", file, "-o", output, "--duration", 0.01)[0] == 0
    at = (np.arange(80) * (2.0 / (2**35 - 1)) - 1.0).astype(np.float32)[:, None]
    np.testing.assert_array_equal(np.load(output), field(at))
    again = ["--duration", 0.5, "--sample-rate", 4000, "--overwrite"]
    assert said(capfd, "export", "audio", file, "-o", output, *again)[0] == 0
    assert np.load(output).shape == (2000, 1)


def test_a_part_of_a_sound_is_the_beginning_of_the_whole(tmp_path):
    field = claiming((40_000,), SOUND)
    for rate in (8000, 3000, 12_000):
        export_audio(field, tmp_path / "whole.npy", rate)
        export_audio(field, tmp_path / "part.npy", rate, duration=0.7)
        whole, part = np.load(tmp_path / "whole.npy"), np.load(tmp_path / "part.npy")
        assert len(part) == round(0.7 * rate)
        np.testing.assert_allclose(part, whole[: len(part)], atol=1e-6)
    export_audio(field, tmp_path / "more.wav", duration=1000.0)
    assert soundfile.info(tmp_path / "more.wav").frames == 40_000
    for duration in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SignalError, match="is no time"):
            export_audio(field, tmp_path / "part.npy", duration=duration)


@pytest.mark.slow
def test_what_is_no_sound_for_ears_is_played_in_part_or_not_at_all():
    fast = field_of(changed(changed(SOUND, "signal.shape", [2**35]), "signal.sample_rate", 600_000))
    assert len(player(fast, None, "field", ViewSettings())) < 4 * 2**24
    with pytest.raises(SignalError, match="no browser plays"):
        player(field_of(changed(SOUND, "signal.sample_rate", 10**9)), None, "field", ViewSettings())


def test_a_shape_has_no_size_to_claim(file_of, tmp_path, capfd):
    """A mesh is as fine as who exports it says."""
    assert said(capfd, "export", "field", file_of(field_of(SHAPE)), "-o", tmp_path / "a.safetensors")[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"signal": {"train_views": 10**10}},
        {"surface": {"appearance_embedding_dim": 10**10}},
        {"surface": {"hidden_dim_color": 10**10}},
        {"surface": {"num_layers_color": 10**10}},
        {"surface": {"geo_feat_dim": 10**10}},
    ],
)
def test_a_surface_of_photographs_is_held_against_its_weights(change):
    from winner_ns.fields.description import Description
    from winner_ns.fitting.run import read_model

    run = next((Path(__file__).parent / "data" / "version_0_1" / "bunny" / "winner-neus").iterdir())
    description, weights = read_model(run)
    plain = description.as_dict()
    rebuild_surface(description, weights)
    for name, values in change.items():
        plain = {**plain, name: {**plain[name], **values}}
    with pytest.raises(ValueError, match="do not fit"):
        rebuild_surface(Description.from_dict(plain), weights)
