"""Frames and power equal librosa's, and each frame is transformed once."""

from collections.abc import Sequence

import librosa
import numpy as np
import pytest
import scipy.fft

from stages.core.params import check
from stages.features.catalogue import extract
from stages.features.params import FeaturesParams, build
from stages.features.spectra import FRAMES_PER_CALL, FilterBank, Framing, Segments
from tests.synthetic import FRAMED, composed_sections, noise

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa's, of short segments

RATE_HZ = 22050
POWER_TOLERANCE = 1e-6  # of the greatest power of a segment (measured: 4.4e-7)


def framing_of(n_fft: int, hop_length: int, window: str = "hann", pad_mode: str = "constant") -> Framing:
    return Framing(n_fft=n_fft, hop_length=hop_length, window=window, pad_mode=pad_mode)


FRAMINGS = [
    framing_of(2048, 512),
    framing_of(1024, 1024),
    framing_of(1000, 333),
    framing_of(2049, 441),  # an odd window has no middle sample
    framing_of(17, 1),
]


def cut(n_segments: int, length: int) -> np.ndarray:
    return noise(n_segments * length).reshape(n_segments, length)


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
@pytest.mark.parametrize("length", [1025, 2047, 2048, 2049, 4097])
def test_number_and_times_of_frames_equal_librosas(framing, length):
    transform = librosa.stft(
        noise(length), n_fft=framing.n_fft, hop_length=framing.hop_length, pad_mode="constant"
    )
    assert framing.n_frames(length) == transform.shape[1]
    assert framing.frames(cut(2, length)).shape == (2, transform.shape[1], framing.n_fft)
    centres = librosa.times_like(transform, sr=RATE_HZ, hop_length=framing.hop_length)
    np.testing.assert_allclose(framing.time_s(length, RATE_HZ), centres, rtol=1e-12)


@pytest.mark.parametrize("length", [1, 5, 16, 17])
def test_a_window_longer_than_the_segment_contains_all_of_it(length):
    framing = framing_of(64, 16)
    samples = cut(2, length)
    frames = framing.frames(samples)
    assert frames.shape == (2, framing.n_frames(length), 64)
    np.testing.assert_array_equal(frames[:, 0, 32 : 32 + length], samples)
    assert np.count_nonzero(frames[:, 0]) == samples.size


@pytest.mark.parametrize("framing", FRAMINGS, ids=str)
def test_frequencies_equal_librosas(framing):
    wanted = librosa.fft_frequencies(sr=RATE_HZ, n_fft=framing.n_fft)
    np.testing.assert_allclose(framing.frequency_hz(RATE_HZ), wanted, rtol=1e-12)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("n_fft", [16, 17])
def test_a_frame_is_centred_on_its_time_stamp(n_fft, pad_mode):
    samples = cut(3, 40)
    frames = framing_of(n_fft, 3, pad_mode=pad_mode).frames(samples)
    for frame in range(frames.shape[1]):
        np.testing.assert_array_equal(frames[:, frame, n_fft // 2], samples[:, 3 * frame])
    before = samples[:, 8:0:-1] if pad_mode == "reflect" else np.zeros((3, 8), np.float32)
    np.testing.assert_array_equal(frames[:, 0, :8], before)


def test_frames_with_another_padding():
    samples = cut(2, 40)
    framing = framing_of(16, 3, pad_mode="reflect")
    np.testing.assert_array_equal(framing.frames(samples, "constant"), framing_of(16, 3).frames(samples))
    assert (framing.frames(samples, "edge")[:, 0, :8] == samples[:, :1]).all()


def test_frames_are_a_view():
    frames = framing_of(2048, 512).frames(cut(1, 66150))
    assert not frames.flags.owndata
    assert frames.strides == (frames.strides[0], 512 * 4, 4)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "boxcar"])
@pytest.mark.parametrize(
    ("n_segments", "length", "n_fft", "hop_length"),
    [
        (1, 66150, 2048, 512),
        (7, 8000, 1000, 333),  # several segments in a block of frames, the last block not full
        (2, 30000, 255, 100),  # several blocks in a segment
        (3, 1030, 2049, 441),  # longer than the segment, and odd
    ],
)
def test_power_equals_librosas(n_segments, length, n_fft, hop_length, window, pad_mode):
    samples = cut(n_segments, length)
    power = Segments(samples).power(framing_of(n_fft, hop_length, window, pad_mode))
    assert power.dtype == np.float32
    for ours, one in zip(power, samples, strict=True):
        theirs = librosa.stft(one, n_fft=n_fft, hop_length=hop_length, window=window, pad_mode=pad_mode)
        wanted = np.abs(theirs.T.astype(np.complex128)) ** 2
        assert ours.shape == wanted.shape
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=POWER_TOLERANCE * wanted.max())


def test_magnitude_is_the_square_root_of_power():
    segments, framing = Segments(cut(2, 8000)), FRAMINGS[0]
    np.testing.assert_allclose(segments.magnitude(framing) ** 2, segments.power(framing), rtol=1e-6)


def test_nothing_is_computed_twice():
    segments, calls = Segments(cut(1, 100)), []

    def count(known):
        calls.append(known)
        return known.samples

    assert segments.once("key", count) is segments.once("key", count)
    assert calls == [segments]
    segments.once("other key", count)
    assert len(calls) == 2


def filters(n_filters: int, n_bins: int, seed: int = 0) -> np.ndarray:
    """Filters that are adjacent, overlap, cover all bins, or are empty."""
    random = np.random.default_rng(seed)
    weights = np.zeros((n_filters, n_bins))
    for weight in weights[: n_filters - n_filters // 8]:
        first, stop = np.sort(random.integers(0, n_bins + 1, 2))
        weight[first:stop] = random.standard_normal(stop - first)
    return random.permutation(weights)


@pytest.mark.parametrize("n_filters", [1, 15, 16, 17, 40, 128])
@pytest.mark.parametrize("shape", [(1, 1, 9), (3, 5, 64), (2, 130, 1025)])
def test_filter_bank_equals_the_matrix_product(n_filters, shape):
    weights = filters(n_filters, shape[-1])
    values = np.random.default_rng(1).random(shape, np.float32)
    wanted = values.astype(np.float64) @ weights.T
    ours = FilterBank(weights)(values)
    assert ours.dtype == np.float32
    assert ours.shape == (*shape[:2], n_filters)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5 * np.sqrt(shape[-1]))


@pytest.mark.parametrize("empty", [slice(None), slice(0, 16), slice(16, 32), slice(3, 5), slice(39, 40)])
def test_an_empty_filter_gives_zero(empty):
    weights = np.ones((40, 64))
    weights[empty] = 0
    sums = FilterBank(weights)(np.ones((2, 3, 64), np.float32))
    np.testing.assert_array_equal(sums, np.broadcast_to(weights.sum(axis=1), (2, 3, 40)))


class TestOneTransform:
    """Every frame of every segment is transformed once, however many features need it."""

    LENGTH, N_SEGMENTS = 8000, 10
    SAMPLES = noise(N_SEGMENTS * LENGTH)

    @pytest.fixture
    def transformed(self, monkeypatch):
        """The frames that were given to the one transform; others fail."""
        frames = []
        rfft = scipy.fft.rfft

        def recorded(windowed, *, overwrite_x):
            frames.append(windowed.reshape(-1, windowed.shape[-1]).copy())
            return rfft(windowed, overwrite_x=overwrite_x)

        def another(*_, **__):
            pytest.fail("a second way to transform")

        monkeypatch.setattr(scipy.fft, "rfft", recorded)
        for module, name in ((np.fft, "rfft"), (np.fft, "fft"), (scipy.fft, "fft")):
            monkeypatch.setattr(module, name, another)
        monkeypatch.setattr(librosa, "stft", another)
        return frames

    def extract(self, include: Sequence[str], **changes: object) -> None:
        section = {**composed_sections()["features"], **changes, "include": list(include)}
        features = build(check(section, FeaturesParams, "features"), RATE_HZ, self.LENGTH)
        starts = range(0, len(self.SAMPLES), self.LENGTH)
        extract(self.SAMPLES, starts, self.LENGTH, features)

    def assert_each_once(self, frames: list[np.ndarray], framing: Framing) -> None:
        rows = np.concatenate([given for given in frames if given.shape[1] == framing.n_fft])
        assert len(rows) == self.N_SEGMENTS * framing.n_frames(self.LENGTH)
        assert len(np.unique(rows, axis=0)) == len(rows), "some frame was transformed twice"

    def test_with_every_feature_each_frame_is_transformed_once(self, transformed):
        self.extract(FRAMED)
        self.assert_each_once(transformed, framing_of(2048, 512))
        assert len(transformed) * FRAMES_PER_CALL < 2 * sum(map(len, transformed)), "frames go in blocks"

    def test_an_estimated_tuning_needs_no_further_transform(self, transformed):
        chroma = composed_sections()["features"]["chroma"]
        self.extract(FRAMED, chroma={**chroma, "tuning": "estimate"})
        self.assert_each_once(transformed, framing_of(2048, 512))

    def test_with_two_framings_each_frame_of_either_is_transformed_once(self, transformed):
        section = composed_sections()["features"]
        own = {"n_fft": 1000, "hop_length": 250}
        others = {name: {**section[name], "framing": own} for name in ("mel", "chroma", "timbre33", "zcr")}
        self.extract(FRAMED, **others)
        self.assert_each_once(transformed, framing_of(2048, 512))
        self.assert_each_once(transformed, framing_of(1000, 250))
        assert {given.shape[1] for given in transformed} == {2048, 1000}

    def test_features_of_samples_need_no_transform(self, transformed):
        self.extract(["rms", "zcr"])
        assert transformed == []
