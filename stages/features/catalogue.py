"""The features that can be computed of a segment; the only list of them.

Definitions are librosa's (McFee et al., 2015), so that values can be compared; each class names the
function that it equals. All work on (n_segments, n_frames, n_bins), frequency last.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from stages.core.params import allows
from stages.features import filters
from stages.features.encoder import Encoder
from stages.features.feature import Feature, FramedFeature
from stages.features.filters import N_CHROMA, N_NOTES
from stages.features.musicnn import Musicnn
from stages.features.spectra import FilterBank, Framing, Segments

AMIN = 1e-10  # the least power in decibels, -100 dB
DB_PER_NEPER = np.float32(-100) / np.log(np.float32(AMIN))  # 10 / ln(10), rounded so that it gives -100 there
ZERO = 1e-10  # the greatest magnitude of a sample that has no sign
TOP_DB = 80.0
SAMPLES_PER_CALL = 1 << 20  # few calls and large ones, since threads wait for each other in between


def _assert_odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("should be odd")
    return value


TopDb = Annotated[float, Field(gt=0, le=1000)] | None
Ref = Annotated[Literal["max"] | Annotated[float, Field(gt=0)], allows("'max' or a number greater than 0")]
Tuning = Annotated[
    Literal["estimate"] | Annotated[float, Field(ge=-0.5, le=0.5)],
    allows("'estimate' or a number from -0.5 to 0.5"),
]


def decibels(power: NDArray[np.float32], top_db: float | None, ref: float | str = 1.0) -> NDArray[np.float32]:
    """Return ``10 * log10(power / ref)``, as `librosa.power_to_db` has it.

    Parameters
    ----------
    power : ndarray of float32 (n_segments, n_frames, n_bins)
    top_db : float or None
        Values further below the segment's maximum than this are raised to that floor.
    ref : float or 'max'
        'max': the segment's maximum.
    """
    level: NDArray[np.float32] = np.maximum(power, np.float32(AMIN))
    np.log(level, out=level)  # numpy's log10 of float32 takes three times as long
    level *= DB_PER_NEPER
    if top_db is not None or ref == "max":
        highest = level.max(axis=(1, 2), keepdims=True)
        if top_db is not None:
            np.maximum(level, highest - np.float32(top_db), out=level)
        if ref == "max":
            level -= highest
    if not isinstance(ref, str) and ref != 1:
        level -= np.float32(10 * math.log10(max(ref, AMIN)))
    return level


class Mel(FramedFeature):
    """Mel spectrum: `librosa.feature.melspectrogram` in decibels by `librosa.power_to_db`.

    Attributes
    ----------
    n_mels : int
    fmin_hz, fmax_hz : float
        Where the lowest band begins and the highest ends; None: half the sample rate.
    htk : bool
        The mel scale of HTK instead of Slaney's.
    norm : {'slaney', 'none'}
        Bands of unit area, or of unit height.
    top_db : float or None
    ref : float or 'max'
        See `decibels`.
    """

    n_mels: int = Field(ge=1, le=1024)
    fmin_hz: float = Field(ge=0)
    fmax_hz: Annotated[float, Field(gt=0)] | None
    htk: bool
    norm: Literal["slaney", "none"]
    top_db: TopDb
    ref: Ref
    unit: ClassVar[str] = "dB"

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "mel_frequency_hz", self._edges_hz()[1:-1]

    def n_empty_bands(self) -> int:
        bins_hz, edges_hz = self.framing.frequency_hz(self.sample_rate_hz), self._edges_hz()
        first = np.searchsorted(bins_hz, edges_hz[:-2], "right")
        stop = np.searchsorted(bins_hz, edges_hz[2:], "left")
        return int((first >= stop).sum())

    @property
    def top_hz(self) -> float:
        """Where the highest band ends."""
        return self.sample_rate_hz / 2 if self.fmax_hz is None else self.fmax_hz

    def check_music(self, length: int) -> None:
        highest_hz = self.sample_rate_hz / 2
        if self.top_hz > highest_hz:
            raise ValueError(
                f"mel.fmax_hz is {self.top_hz}, but at {self.sample_rate_hz} Hz there is nothing above "
                f"{highest_hz:g}"
            )
        if self.fmin_hz >= self.top_hz:
            raise ValueError(
                f"mel.fmin_hz is {self.fmin_hz}, but the highest band ends at {self.top_hz:g}; choose less"
            )

    def _edges_hz(self) -> NDArray[np.float64]:
        """Return where the bands begin, peak and end: each begins at the peak of the one before."""
        return filters.mel_edges_hz(self.n_mels, self.fmin_hz, self.top_hz, self.htk)

    def weights(self) -> NDArray[np.float64]:
        """Return what each band takes of the power of each bin, (n_mels, n_bins)."""
        bins_hz = self.framing.frequency_hz(self.sample_rate_hz)
        return filters.mel(self._edges_hz(), bins_hz, self.norm == "slaney")

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        return decibels(_mel_filters(self)(segments.power(self.framing)), self.top_db, self.ref)


@lru_cache(maxsize=4)
def _mel_filters(mel: Mel) -> FilterBank:
    return FilterBank(mel.weights())


class Mfcc(FramedFeature):
    """Mel-frequency cepstral coefficients: `librosa.feature.mfcc`, the orthonormal DCT-II of mel decibels.

    Attributes
    ----------
    mel : Mel
    n_mfcc : int
    deltas : int
        How many derivatives over time follow the coefficients: 0, 1 or 2; `librosa.feature.delta`.
    delta_width : int
        Frames that a derivative is fitted to, odd.
    """

    mel: Mel
    n_mfcc: int = Field(ge=1)
    deltas: int = Field(ge=0, le=2)
    delta_width: Annotated[int, Field(ge=3), AfterValidator(_assert_odd)]
    unit: ClassVar[str] = "1"

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "mfcc_coefficient", np.arange(self.n_mfcc * (1 + self.deltas), dtype=np.float64)

    def check_settings(self) -> None:
        if self.n_mfcc > self.mel.n_mels:
            raise ValueError(f"mfcc.n_mfcc is {self.n_mfcc}, should be at most mel.n_mels, {self.mel.n_mels}")

    def check_music(self, length: int) -> None:
        super().check_music(length)
        n_frames = self.framing.n_frames(length)
        if self.deltas and n_frames < self.delta_width:
            raise ValueError(
                f"mfcc.delta_width is {self.delta_width}, but a segment has {n_frames} frames; choose less"
            )

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        # in float32 the sum over bands would err by over 1e-3 where all are at the floor
        mfcc = self.mel.of(segments).astype(np.float64) @ dct(self.mel.n_mels, self.n_mfcc)
        parts = [mfcc]
        parts += [derivative(mfcc, self.delta_width, order, axis=1) for order in range(1, self.deltas + 1)]
        return np.concatenate(parts, axis=2, dtype=np.float32)


def derivative(values: NDArray[np.float64], width: int, order: int, axis: int) -> NDArray[np.float64]:
    """Return the derivative along an axis, of polynomials of degree `order` fitted to `width` values."""
    import scipy.signal

    fitted: NDArray[np.float64] = scipy.signal.savgol_filter(
        values, width, order, deriv=order, axis=axis, mode="interp"
    )
    return fitted


@lru_cache(maxsize=4)
def dct(n_mels: int, n_mfcc: int) -> NDArray[np.float64]:
    """Return the first columns of the orthonormal DCT-II, (n_mels, n_mfcc)."""
    import scipy.fft

    transform: NDArray[np.float64] = scipy.fft.dct(np.eye(n_mels), norm="ortho", axis=1)[:, :n_mfcc]
    return transform


class MelLevels(FramedFeature):
    """Mel levels in equal steps of decibels, as codes for a one-hot input layer.

    Code 0 is `range_db` and more below the segment's maximum, ``n_levels - 1`` the step that ends there.

    Attributes
    ----------
    mel : Mel
    n_levels : int
    range_db : float
    """

    mel: Mel
    n_levels: int = Field(ge=2, le=256)
    range_db: float = Field(ge=0.001, le=1000)
    unit: ClassVar[str] = "level"
    dtype: ClassVar[type[np.generic]] = np.uint8

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return self.mel.bins()

    def _compute(self, segments: Segments) -> NDArray[np.uint8]:
        level = self.mel.of(segments)
        above_floor = level - level.max(axis=(1, 2), keepdims=True) + np.float32(self.range_db)
        steps = np.floor(above_floor * np.float32(self.n_levels / self.range_db))
        codes: NDArray[np.uint8] = np.clip(steps, 0, self.n_levels - 1).astype(np.uint8)
        return codes


class Chroma(FramedFeature):
    """Energy of the twelve pitch classes, the strongest of a frame at 1: `librosa.feature.chroma_stft`.

    Attributes
    ----------
    tuning : float or 'estimate'
        Deviation from A4 = 440 Hz in semitones; 'estimate' measures it in each segment, as librosa does
        by default, at several times the cost.
    """

    tuning: Tuning
    unit: ClassVar[str] = "1"

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "pitch_class", np.arange(N_CHROMA, dtype=np.float64)

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        power = segments.power(self.framing)
        if self.tuning == "estimate":
            raw = np.stack([self._filters(_tuning(self, one))(one) for one in power])
        else:
            raw = self._filters(float(self.tuning))(power)
        strongest = raw.max(axis=2, keepdims=True)
        strongest[strongest < np.finfo(np.float32).tiny] = 1
        result: NDArray[np.float32] = raw / strongest
        return result

    def _filters(self, tuning: float) -> FilterBank:
        return _chroma_filters(self.sample_rate_hz, self.framing, tuning)


def _tuning(chroma: Chroma, power: NDArray[np.float32]) -> float:
    """Estimate the tuning as `librosa.estimate_tuning`, which warns of a segment without pitch (silence)."""
    import librosa

    pitch_hz, strength = librosa.piptrack(S=power.T, sr=chroma.sample_rate_hz)
    found = pitch_hz > 0
    if not found.any():
        return 0.0
    strong = found & (strength >= np.median(strength[found]))
    return float(librosa.pitch_tuning(pitch_hz[strong], bins_per_octave=N_CHROMA))


@lru_cache(maxsize=128)
def _chroma_filters(sample_rate_hz: int, framing: Framing, tuning: float) -> FilterBank:
    return FilterBank(filters.chroma(framing.frequency_hz(sample_rate_hz), tuning))


class Pitch(FramedFeature):
    """Power of the 128 MIDI notes.

    Note p takes the sum over all bins k with F(p - 1/2) <= f(k) <= F(p + 1/2), where F(p) is
    440 Hz * 2 ** ((p - 69) / 12). A note narrower than a bin may have none, and is silent.

    Attributes
    ----------
    scale : {'db', 'power'}
    top_db : float or None
        See `decibels`; for 'db'.
    """

    scale: Literal["db", "power"]
    top_db: TopDb

    @property
    def unit(self) -> str:
        """Unit of the scale."""
        return "dB" if self.scale == "db" else "1"

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "midi_note", np.arange(N_NOTES, dtype=np.float64)

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        return self._scaled(self._notes(segments))

    def _notes(self, segments: Segments) -> NDArray[np.float32]:
        bank = _note_filters(self.sample_rate_hz, self.framing)
        return segments.once(("notes", self.framing), lambda known: bank(known.power(self.framing)))

    def _scaled(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        return decibels(power, self.top_db) if self.scale == "db" else power


class PitchChroma(Pitch):
    """`Pitch` folded to pitch classes, C first: class c is the sum of the notes p with p mod 12 = c."""

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "pitch_class", np.arange(N_CHROMA, dtype=np.float64)

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        notes = self._notes(segments)
        missing = -N_NOTES % N_CHROMA  # of the highest octave
        octaves = np.pad(notes, ((0, 0), (0, 0), (0, missing))).reshape(*notes.shape[:2], -1, N_CHROMA)
        return self._scaled(octaves.sum(axis=2))


@lru_cache(maxsize=4)
def _note_filters(sample_rate_hz: int, framing: Framing) -> FilterBank:
    return FilterBank(filters.notes(framing.frequency_hz(sample_rate_hz)))


class Contrast(FramedFeature):
    """Peaks against valleys in bands of an octave: `librosa.feature.spectral_contrast` (Jiang et al., 2002).

    Attributes
    ----------
    n_bands : int
        Octaves above the lowest band, which ends at `fmin_hz`.
    fmin_hz : float
    quantile : float
        Share of a band's bins that make its peak, and its valley.
    """

    n_bands: int = Field(ge=1, le=16)
    fmin_hz: float = Field(gt=0)
    quantile: float = Field(gt=0, lt=1)
    unit: ClassVar[str] = "dB"

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "contrast_band_hz", self._edges_hz()[:-1]

    def check_music(self, length: int) -> None:
        highest_hz = self.framing.frequency_hz(self.sample_rate_hz)[-1]
        bin_hz = self.sample_rate_hz / self.framing.n_fft
        if self.fmin_hz * 2 ** (self.n_bands - 1) >= highest_hz:
            raise ValueError(
                f"contrast.n_bands is {self.n_bands}, but from {self.fmin_hz:g} Hz so many octaves pass "
                f"{highest_hz:g} Hz, where the spectrum ends; choose less of either, or include "
                "no feature with contrast"
            )
        if self.fmin_hz < 2 * bin_hz:
            raise ValueError(
                f"contrast.fmin_hz is {self.fmin_hz}, but bins are {bin_hz:g} Hz wide, which leaves the "
                "lowest bands empty; choose more, or a larger n_fft"
            )

    def _edges_hz(self) -> NDArray[np.float64]:
        """Return where the bands begin, and where the last one ends."""
        return np.concatenate([[0.0], self.fmin_hz * 2.0 ** np.arange(self.n_bands + 1)])

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        magnitude = segments.magnitude(self.framing)
        bins_hz, edges_hz = self.framing.frequency_hz(self.sample_rate_hz), self._edges_hz()
        shape = (*magnitude.shape[:2], self.n_bands + 1)
        peak, valley = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for band in range(self.n_bands + 1):
            inside = np.flatnonzero((bins_hz >= edges_hz[band]) & (bins_hz <= edges_hz[band + 1]))
            is_last = band == self.n_bands
            first, stop = inside[0] - (band > 0), len(bins_hz) if is_last else inside[-1] + 1
            n = max(1, round(self.quantile * (stop - first)))
            ordered = np.sort(magnitude[..., first : stop - (not is_last)], axis=2)
            valley[..., band] = ordered[..., :n].mean(axis=2)
            peak[..., band] = ordered[..., -n:].mean(axis=2)
        return decibels(peak, TOP_DB) - decibels(valley, TOP_DB)


class _OneNumber(FramedFeature):
    """A feature of one number per frame."""

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "value", np.zeros(1)


class Centroid(_OneNumber):
    """Mean frequency of the magnitude spectrum: `librosa.feature.spectral_centroid`."""

    unit: ClassVar[str] = "Hz"

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        magnitude = segments.magnitude(self.framing)
        bins_hz = self.framing.frequency_hz(self.sample_rate_hz).astype(np.float32)
        moment: NDArray[np.float32] = np.einsum("sfk,k->sf", magnitude, bins_hz)
        return _column(moment / _total(segments, self.framing))


class Bandwidth(_OneNumber):
    """Spread about the centroid, the root of the mean square: `librosa.feature.spectral_bandwidth`."""

    unit: ClassVar[str] = "Hz"

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        magnitude = segments.magnitude(self.framing)
        bins_hz = self.framing.frequency_hz(self.sample_rate_hz).astype(np.float32)
        centroid = Centroid(sample_rate_hz=self.sample_rate_hz, framing=self.framing)
        away_hz = bins_hz - centroid.of(segments)
        np.square(away_hz, out=away_hz)
        spread = np.einsum("sfk,sfk->sf", magnitude, away_hz)
        return _column(np.sqrt(spread / _total(segments, self.framing)))


def _column(values: NDArray[Any]) -> NDArray[np.float32]:
    return values[..., None].astype(np.float32, copy=False)


def _total(segments: Segments, framing: Framing) -> NDArray[np.float32]:
    """Return the sum of each frame's magnitudes, or 1 where it is zero, as a divisor."""

    def compute(known: Segments) -> NDArray[np.float32]:
        sums = known.magnitude(framing).sum(axis=2)
        return np.where(sums < np.finfo(np.float32).tiny, np.float32(1), sums)

    return segments.once(("total", framing), compute)


class Rolloff(_OneNumber):
    """Frequency below which a share of the magnitudes lies: `librosa.feature.spectral_rolloff`.

    Attributes
    ----------
    roll_percent : float
        That share, between 0 and 1.
    """

    roll_percent: float = Field(gt=0, lt=1)
    unit: ClassVar[str] = "Hz"

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        total = np.cumsum(segments.magnitude(self.framing), axis=2)  # in float32: ties fall as in librosa
        reached = np.argmax(total >= self.roll_percent * total[..., -1:], axis=2)
        return _column(self.framing.frequency_hz(self.sample_rate_hz)[reached])


class ZeroCrossingRate(_OneNumber):
    """Share of a frame's samples at which the sign changes: `librosa.feature.zero_crossing_rate`.

    Both ends are padded with the outermost sample, whatever the framing's `pad_mode`, as in librosa.
    """

    uses_pad_mode: ClassVar[bool] = False
    unit: ClassVar[str] = "1"

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        negative = segments.samples < -ZERO  # what has no sign counts as positive
        changes = np.zeros(negative.shape, np.float32)
        np.not_equal(negative[:, 1:], negative[:, :-1], out=changes[:, 1:], casting="unsafe")
        frames = self.framing.frames(changes, "constant")
        # the change into a frame's first sample is no crossing of that frame
        crossings = np.einsum("sfn->sf", frames) - frames[..., 0]
        return _column(crossings / np.float32(self.framing.n_fft))


class Rms(_OneNumber):
    """Root of a frame's mean square: `librosa.feature.rms` of the samples."""

    unit: ClassVar[str] = "1"

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        frames = self.framing.frames(segments.samples)
        energy = np.einsum("sfn,sfn->sf", frames, frames)
        return _column(np.sqrt(energy / np.float32(self.framing.n_fft)))


class Timbre33(FramedFeature):
    """13 MFCC, centroid, 12 chroma and 7 contrast bands, side by side: the input of a widely used LSTM."""

    mfcc: Mfcc
    centroid: Centroid
    chroma: Chroma
    contrast: Contrast
    unit: ClassVar[str] = "mixed"
    fixed: ClassVar[Mapping[str, Mapping[str, Any]]] = {"mfcc": {"n_mfcc": 13, "deltas": 0, "delta_width": 9}}

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "timbre_dimension", np.arange(33, dtype=np.float64)

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        parts = (self.mfcc, self.centroid, self.chroma, self.contrast)
        return np.concatenate([part.of(segments) for part in parts], axis=2)

    def check_settings(self) -> None:
        n_mels, n_bands = self.mfcc.mel.n_mels, self.contrast.n_bands
        if n_mels < self.mfcc.n_mfcc or n_bands != 6:
            raise ValueError(
                "include has 'timbre33', whose 33 dimensions take mel.n_mels of at least 13 and "
                f"contrast.n_bands of 6, not {n_mels} and {n_bands}"
            )


CATALOGUE: dict[str, type[Feature]] = {
    "mfcc": Mfcc,
    "mel": Mel,
    "mel_levels": MelLevels,
    "chroma": Chroma,
    "pitch": Pitch,
    "pitch_chroma": PitchChroma,
    "contrast": Contrast,
    "centroid": Centroid,
    "bandwidth": Bandwidth,
    "rolloff": Rolloff,
    "zcr": ZeroCrossingRate,
    "rms": Rms,
    "timbre33": Timbre33,
    "musicnn": Musicnn,
    "encoder": Encoder,
}


def extract(
    samples: NDArray[np.float32], starts: Sequence[int], length: int, features: Mapping[str, Feature]
) -> dict[str, NDArray[Any]]:
    """Compute features of segments of one track; pure, and on one thread, so that tracks can run in parallel.

    Parameters
    ----------
    samples : ndarray of float32 (n_samples,)
        Full scale 1.
    starts : sequence of int
        Where the segments begin, in samples, ascending.
    length : int
        Of each, in samples; silence follows the end of the samples.
    features : mapping of str to Feature

    Returns
    -------
    dict of str to ndarray (n_segments, n_bins, n_frames)
        In the feature's dtype, contiguous.
    """
    beyond = starts[-1] + length - len(samples)
    if beyond > 0:
        samples = np.pad(samples, (0, beyond))
    results = {}
    for name, feature in features.items():
        shape = (len(starts), len(feature.bins()[1]), len(feature.time_s(length)))
        results[name] = np.empty(shape, feature.dtype)
    at_once = max(1, SAMPLES_PER_CALL // length)
    for first in range(0, len(starts), at_once):
        rows = slice(first, first + at_once)
        segments = Segments(np.stack([samples[start : start + length] for start in starts[rows]]))
        for name, feature in features.items():
            results[name][rows] = feature.of(segments).transpose(0, 2, 1)
    return results


def rebuild(name: str, settings: Mapping[str, Any]) -> Feature:
    """Return the feature that was made with `settings`.

    Parameters
    ----------
    name : str
        In `CATALOGUE`.
    settings : mapping
        ``sample_rate_hz`` and what `Feature.stored_settings` returns; other keys are ignored.

    Raises
    ------
    EncoreError
        If the feature needs a file that is missing, or is another one now.
    """
    feature = CATALOGUE[name]
    given = {key: settings[key] for key in feature.model_fields if key in settings}
    if issubclass(feature, FramedFeature):
        given["framing"] = {key: settings[key] for key in Framing.model_fields}
    rebuilt = feature.model_validate(given)
    rebuilt.check_stored(settings)
    return rebuilt
