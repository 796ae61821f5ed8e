"""A network of the user's, in an ONNX file, is a feature like any other."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import soxr
import torch
from torch import nn

from stages import decode, extract, fetch, segment, split, train
from stages.features.catalogue import extract as features_of
from stages.features.encoder import Encoder
from stages.features.spectra import Segments
from stages.inference.prediction import predict
from tests.synthetic import composed_sections, line_of, noise, write_music, write_params

pytestmark = pytest.mark.slow

RATE_HZ, HOP, FRAME = 16_000, 160, 400
LENGTH = 3 * RATE_HZ


class OfFrames(nn.Module):
    """A tiny encoder: frames of 25 ms, one each 10 ms."""

    def __init__(self, n_values: int = 6, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Conv1d(1, n_values, FRAME, HOP)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Return (n, n_frames, n_values) for (n, samples)."""
        return self.layer(waveform.unsqueeze(1)).tanh().transpose(1, 2)


class OfSegments(OfFrames):
    """The same, with one embedding of a segment."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform).mean(dim=1)


class OfOneFrame(OfFrames):
    """One embedding, in the form of frames."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform).mean(dim=1, keepdim=True)


class Normalised(OfSegments):
    """Of silence it makes no number."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform / waveform.std(dim=1, keepdim=True))


class OfTwo(OfSegments):
    def forward(self, waveform: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform * mask)


class GivesTwo(OfSegments):
    def forward(self, waveform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = super().forward(waveform)
        return values, 2 * values


class OfChannels(OfSegments):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform.mean(dim=1))


class OfDoubles(OfSegments):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform.float())


class GivesMaps(OfFrames):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return super().forward(waveform).unsqueeze(1)


def export(
    network: nn.Module,
    path: Path,
    *given: torch.Tensor,
    inside: bool = True,
    any_n: bool = True,
) -> Path:
    """Export a network as README says."""
    given = given or (torch.zeros(2, LENGTH),)
    names = network.forward.__code__.co_varnames[1 : 1 + len(given)]
    shapes = {name: {0: "n"} for name in names} if any_n else None
    torch.onnx.export(
        network.eval(),
        given,
        path,
        dynamo=True,
        external_data=not inside,
        dynamic_shapes=shapes,
        verbose=False,
    )
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders")
    return {
        "frames": export(OfFrames(), folder / "frames.onnx"),
        "segments": export(OfSegments(), folder / "segments.onnx"),
    }


def encoder(path: Path, rate_hz: int = RATE_HZ, **settings: object) -> Encoder:
    given = {"rate_hz": RATE_HZ, "hop_length": HOP, "trained_on": (), **settings}
    return Encoder(sample_rate_hz=rate_hz, path=str(path), **given)


def of(feature: Encoder, samples: np.ndarray) -> np.ndarray:
    return feature.of(Segments(samples))


@pytest.mark.parametrize("rate_hz", [16_000, 22_050])
@pytest.mark.parametrize("kind", ["frames", "segments"])
def test_it_is_what_the_network_makes_of_the_resampled_music(files, kind, rate_hz):
    feature = encoder(files[kind], rate_hz)
    samples = np.stack([noise(3 * rate_hz, seed) for seed in range(3)])
    found = of(feature, samples)
    given = soxr.resample(samples.T, rate_hz, RATE_HZ, "HQ").T if rate_hz != RATE_HZ else samples
    network = OfFrames() if kind == "frames" else OfSegments()
    with torch.inference_mode():
        expected = network(torch.from_numpy(given[:, :LENGTH].copy())).reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    assert len(feature.bins()[1]) == 6
    assert found.shape[1] == len(feature.time_s(3 * rate_hz))


def test_frames_are_centred_in_the_segment(files):
    centres = encoder(files["frames"]).time_s(LENGTH)
    np.testing.assert_allclose(np.diff(centres), HOP / RATE_HZ)
    np.testing.assert_allclose(centres, (FRAME / 2 + np.arange(298) * HOP) / RATE_HZ, atol=HOP / 2 / RATE_HZ)
    assert encoder(files["segments"]).time_s(LENGTH).tolist() == [1.5]


def test_one_frame_needs_no_hop(tmp_path):
    feature = encoder(export(OfOneFrame(), tmp_path / "x.onnx"), hop_length=None)
    assert feature.time_s(LENGTH).tolist() == [1.5]
    assert of(feature, noise(LENGTH)[None]).shape == (1, 1, 6)


def test_other_music_gets_a_remark(files):
    assert encoder(files["frames"]).remark() == ""
    assert "audio.sample_rate_hz=16000" in encoder(files["frames"], 8_000).remark()


def test_dvc_watches_the_file():
    unwatched = composed_sections("features.include=[mfcc,mel]")["features"]["watch"]
    assert unwatched == "conf/features/default.yaml"
    assert composed_sections("features.encoder.path=/some/e.onnx")["features"]["watch"] == "/some/e.onnx"


def test_a_missing_path_is_asked_for(workspace):
    write_params("features.include=[mfcc,mel,encoder]")
    assert "features.encoder.path is not given" in line_of(extract.main)


class TestLines:
    """Whatever cannot be used is refused in one line that names the file."""

    def test_no_file(self, tmp_path):
        assert "none.onnx: No such file" in line_of(lambda: encoder(tmp_path / "none.onnx").bins())

    def test_a_folder(self, tmp_path):
        assert "Is a directory" in line_of(lambda: encoder(tmp_path).bins())

    def test_no_network(self, tmp_path):
        (tmp_path / "x.onnx").write_text("music")
        assert "x.onnx: no network that can be loaded" in line_of(lambda: encoder(tmp_path / "x.onnx").bins())

    def test_a_damaged_file(self, tmp_path, files):
        (tmp_path / "x.onnx").write_bytes(files["frames"].read_bytes()[:-700])
        assert "x.onnx: no network that can be loaded" in line_of(lambda: encoder(tmp_path / "x.onnx").bins())

    def test_weights_beside_it_even_where_they_could_be_found(self, tmp_path, monkeypatch):
        path = export(OfFrames(), tmp_path / "x.onnx", inside=False)
        monkeypatch.chdir(tmp_path)
        assert "export it with external_data=False" in line_of(lambda: encoder(path).bins())

    @pytest.mark.parametrize(
        ("network", "given", "line"),
        [
            (OfTwo(), [torch.zeros(2, LENGTH)] * 2, "has 2 inputs, waveform, mask; export it with one"),
            (GivesTwo(), [torch.zeros(2, LENGTH)], "has 2 outputs"),
            (OfChannels(), [torch.zeros(2, 2, LENGTH)], "its input has the form (n, 2, 48000)"),
            (GivesMaps(), [torch.zeros(2, LENGTH)], "its output has the form (n, 1, 298, 6)"),
            (OfDoubles(), [torch.zeros(2, LENGTH).double()], "its input is tensor(double)"),
        ],
    )
    def test_other_forms(self, tmp_path, network, given, line):
        path = export(network, tmp_path / "x.onnx", *given)
        assert line in line_of(lambda: encoder(path).bins())

    def test_a_fixed_batch(self, tmp_path):
        path = export(OfSegments(), tmp_path / "x.onnx", any_n=False)
        assert "its input has the form (2, 48000); export it with (n, samples)" in line_of(
            lambda: encoder(path).bins()
        )
        one = export(OfSegments(), tmp_path / "one.onnx", torch.zeros(1, LENGTH), any_n=False)
        assert of(encoder(one), noise(2 * LENGTH).reshape(2, -1)).shape == (2, 1, 6)

    def test_segments_of_another_length(self, files):
        line = line_of(lambda: encoder(files["frames"]).time_s(RATE_HZ))
        assert (
            "takes 48000 samples, 3 s at 16000 Hz, but a segment has 16000; change segment.length_s" in line
        )

    @pytest.mark.parametrize(("hop_length", "shown"), [(None, "null"), (320, "320")])
    def test_another_hop(self, files, hop_length, shown):
        line = line_of(lambda: encoder(files["frames"], hop_length=hop_length).time_s(LENGTH))
        assert f"features.encoder.hop_length is {shown}, but of 48000 samples" in line
        assert "298 frames, one for about 161" in line

    def test_values_that_are_no_numbers(self, tmp_path):
        feature = encoder(export(Normalised(), tmp_path / "x.onnx"))
        assert np.isfinite(of(feature, noise(LENGTH)[None])).all()
        silent = np.stack([noise(LENGTH), np.zeros(LENGTH, np.float32)])
        assert "of a silent segment that are infinite or not a number" in line_of(lambda: of(feature, silent))

    def test_a_missing_runtime(self, tmp_path, files, monkeypatch):
        (tmp_path / "x.onnx").write_bytes(files["frames"].read_bytes())
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        assert "onnxruntime, which is missing" in line_of(lambda: encoder(tmp_path / "x.onnx").bins())


HOW = (
    "dataset=folder",
    "segment.length_s=3.0",
    "split=stratified",
    "features.include=[mfcc,encoder]",
    "features.encoder.hop_length=160",
    "features.encoder.trained_on=[Folder]",
    "model=linear",
    "model.feature=[mfcc,encoder]",
    "baseline.features=[encoder]",
)


@pytest.fixture
def _decoded(workspace, files):
    write_music(workspace / "music", seconds=6.2)
    Path("mine.onnx").write_bytes(files["frames"].read_bytes())
    write_params(
        *HOW, f"dataset.path={workspace / 'music'}", f"features.encoder.path={Path.cwd() / 'mine.onnx'}"
    )
    for stage in (fetch, decode, segment, split):
        stage.main()


@pytest.mark.usefixtures("_decoded")
class TestStages:
    """In the pipeline, beside other features."""

    def test_its_settings_are_stored(self):
        extract.main()
        with h5py.File("data/features/features.h5") as file:
            stored = file["encoder"]
            assert stored.shape == (36, 6, 298)
            assert stored.attrs["rate_hz"] == 16_000
            assert b"Folder" in stored.attrs["trained_on"]
            assert len(stored.attrs["sha256"]) == 64

    def test_a_second_run_computes_nothing_and_another_network_all_of_its_own(self, monkeypatch):
        extract.main()
        before = Path("data/features/features.h5").read_bytes()
        monkeypatch.setattr("stages.features.catalogue.Mfcc._compute", None)
        with monkeypatch.context() as patch:
            patch.setattr(Encoder, "_compute", None)
            extract.main()
        assert Path("data/features/features.h5").read_bytes() == before
        export(OfFrames(seed=1), Path("mine.onnx"))
        extract.main()
        assert Path("data/features/features.h5").read_bytes() != before

    def test_a_model_learns_from_it_is_warned_and_knows_its_encoder_again(self, capsys):
        extract.main()
        train.main()
        out = capsys.readouterr().out
        assert "train: warning: encoder was trained on folder, which this music is from" in out
        music = next(Path("data/raw/music").glob("*/*.wav"))
        found = predict(music)
        assert max(found, key=found.get) == music.parent.name
        export(OfFrames(seed=1), Path("mine.onnx"))
        assert "mine.onnx: not the encoder that the model was trained with" in line_of(lambda: predict(music))
        Path("mine.onnx").unlink()
        assert "features.encoder.path: " in line_of(lambda: predict(music))


def test_a_segment_does_not_affect_another(files):
    feature = encoder(files["frames"])
    samples = noise(2 * LENGTH)
    both = features_of(samples, [0, LENGTH], LENGTH, {"x": feature})["x"]
    np.testing.assert_array_equal(both[1:], features_of(samples, [LENGTH], LENGTH, {"x": feature})["x"])
