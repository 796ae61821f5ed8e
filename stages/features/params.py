"""The `features` section: what it allows, and the features that it asks for."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from stages.core.errors import EncoreError
from stages.core.params import Params

if TYPE_CHECKING:
    from stages.features.catalogue import Feature
    from stages.features.spectra import Framing
    from stages.features.variants import Variant

Name = Literal[
    "mfcc",
    "mel",
    "mel_levels",
    "chroma",
    "pitch",
    "pitch_chroma",
    "contrast",
    "centroid",
    "bandwidth",
    "rolloff",
    "zcr",
    "rms",
    "timbre33",
]


def _allows(what: str) -> WrapValidator:
    """Say what a union allows, where pydantic would speak of one of its members."""

    def validate(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise ValueError(f"should be {what}") from None

    return WrapValidator(validate)


def _not(value: float) -> AfterValidator:
    """Refuse the number that would leave the music as it is."""

    def validate(given: float) -> float:
        if given == value:
            raise ValueError("which is the music as it is; leave it out")
        return given

    return AfterValidator(validate)


def _once_each(numbers: list[float]) -> list[float]:
    for number in numbers:
        if numbers.count(number) > 1:
            raise ValueError(f"should have {number:g} once")
    return numbers


NFft = Annotated[int, Field(ge=16, le=65536)]
HopLength = Annotated[int, Field(ge=1)]
Window = Literal["hann", "hamming", "blackman", "boxcar"]
PadMode = Literal["constant", "reflect"]
Semitones = Annotated[float, Field(ge=-24, le=24), _not(0)]
Rate = Annotated[float, Field(ge=0.25, le=4), _not(1)]
TopDb = Annotated[float, Field(gt=0, le=1000)] | None
Ref = Annotated[Literal["max"] | Annotated[float, Field(gt=0)], _allows("'max' or a number greater than 0")]
Tuning = Annotated[
    Literal["estimate"] | Annotated[float, Field(ge=-0.5, le=0.5)],
    _allows("'estimate' or a number from -0.5 to 0.5"),
]


class FramingParams(Params):
    """Where a feature's frames differ from those of the others; None: they do not.

    Attributes
    ----------
    n_fft, hop_length : int or None
    window : {'hann', 'hamming', 'blackman', 'boxcar'} or None
    pad_mode : {'constant', 'reflect'} or None
    """

    n_fft: NFft | None = None
    hop_length: HopLength | None = None
    window: Window | None = None
    pad_mode: PadMode | None = None


class FeatureParams(Params):
    """A feature without settings of its own.

    Attributes
    ----------
    framing : FramingParams or None
    """

    framing: FramingParams | None


class MelParams(FeatureParams):
    """See `stages.features.catalogue.Mel`; also behind MFCC and mel_levels."""

    n_mels: int = Field(ge=1, le=1024)
    fmin_hz: float = Field(ge=0)
    fmax_hz: Annotated[float, Field(gt=0)] | None
    htk: bool
    norm: Literal["slaney", "none"]
    top_db: TopDb
    ref: Ref


class MfccParams(FeatureParams):
    """See `stages.features.catalogue.Mfcc`."""

    n_mfcc: int = Field(ge=1)
    deltas: int = Field(ge=0, le=2)
    delta_width: int = Field(ge=3)


class MelLevelsParams(FeatureParams):
    """See `stages.features.catalogue.MelLevels`."""

    n_levels: int = Field(ge=2, le=256)
    range_db: float = Field(ge=0.001, le=1000)


class ChromaParams(FeatureParams):
    """See `stages.features.catalogue.Chroma`."""

    tuning: Tuning


class PitchParams(FeatureParams):
    """See `stages.features.catalogue.Pitch`."""

    scale: Literal["db", "power"]
    top_db: TopDb


class ContrastParams(FeatureParams):
    """See `stages.features.catalogue.Contrast`."""

    n_bands: int = Field(ge=1, le=16)
    fmin_hz: float = Field(gt=0)
    quantile: float = Field(gt=0, lt=1)


class RolloffParams(FeatureParams):
    """See `stages.features.catalogue.Rolloff`."""

    roll_percent: float = Field(gt=0, lt=1)


class VariantsParams(Params):
    """Of every track's waveform, beside the features of the music as it is.

    Attributes
    ----------
    pitch_shift : list of float
        In semitones, up or down.
    time_stretch : list of float
        How many times as fast.
    """

    pitch_shift: Annotated[list[Semitones], AfterValidator(_once_each)]
    time_stretch: Annotated[list[Rate], AfterValidator(_once_each)]


class FeaturesParams(Params):
    """The `features` section.

    Attributes
    ----------
    n_fft, hop_length : int
        Length of a frame and of the step to the next, in samples.
    window : {'hann', 'hamming', 'blackman', 'boxcar'}
    pad_mode : {'constant', 'reflect'}
        What stands beyond both ends of a segment.
    include : list of str
        What features.h5 shall hold.
    dtype : {'float32', 'float16'}
        Of the stored numbers.
    compression : {'none', 'lzf', 'gzip'}
    variants : VariantsParams
    mfcc, mel, mel_levels, chroma, pitch, pitch_chroma, contrast, centroid, bandwidth, rolloff, zcr, rms
        Settings of each feature.
    timbre33
        Made with the settings of mel, chroma and contrast.
    """

    n_fft: NFft
    hop_length: HopLength
    window: Window
    pad_mode: PadMode
    include: list[Name] = Field(min_length=1)
    dtype: Literal["float32", "float16"]
    compression: Literal["none", "lzf", "gzip"]
    variants: VariantsParams
    mfcc: MfccParams
    mel: MelParams
    mel_levels: MelLevelsParams
    chroma: ChromaParams
    pitch: PitchParams
    pitch_chroma: PitchParams
    contrast: ContrastParams
    centroid: FeatureParams
    bandwidth: FeatureParams
    rolloff: RolloffParams
    zcr: FeatureParams
    rms: FeatureParams
    timbre33: FeatureParams

    @model_validator(mode="after")
    def _fit_together(self) -> "FeaturesParams":
        for name in self.include:
            if self.include.count(name) > 1:
                raise ValueError(f"include has {name!r} twice")
            n_fft, hop_length = self.setting(name, "n_fft"), self.setting(name, "hop_length")
            if hop_length > n_fft:
                key = self.key_of(name, "hop_length")
                raise ValueError(f"{key} is {hop_length}, should be at most n_fft, {n_fft} for {name}")
        if "mfcc" in self.include and self.mfcc.n_mfcc > self.mel.n_mels:
            raise ValueError(
                f"mfcc.n_mfcc is {self.mfcc.n_mfcc}, should be at most mel.n_mels, {self.mel.n_mels}"
            )
        if self.mfcc.delta_width % 2 == 0:
            raise ValueError(f"mfcc.delta_width is {self.mfcc.delta_width}, should be odd")
        if "timbre33" in self.include and (self.mel.n_mels < 13 or self.contrast.n_bands != 6):
            raise ValueError(
                "include has 'timbre33', whose 33 dimensions take mel.n_mels of at least 13 and "
                f"contrast.n_bands of 6, not {self.mel.n_mels} and {self.contrast.n_bands}"
            )
        return self

    def setting(self, feature: str, key: str) -> Any:
        """What holds for a feature's frames: its own setting, or that of all features."""
        own = getattr(self, feature).framing
        value = None if own is None else getattr(own, key)
        return getattr(self, key) if value is None else value

    def key_of(self, feature: str, key: str) -> str:
        """Where in the section `setting` finds it."""
        own = getattr(self, feature).framing
        return key if own is None or getattr(own, key) is None else f"{feature}.framing.{key}"


def build(params: FeaturesParams, sample_rate_hz: int, length: int) -> "dict[str, Feature]":
    """The features that `params` includes, for segments of `length` samples.

    Raises
    ------
    EncoreError
        If a setting does not fit the sample rate or the length of a segment.
    """
    from stages.features.catalogue import CATALOGUE, Mfcc
    from stages.features.spectra import Framing

    def make(name: str, framing: Framing, **parts: Any) -> Any:
        own = getattr(params, name).model_dump(exclude={"framing"})
        return CATALOGUE[name](sample_rate_hz, framing, **parts, **own)

    features: dict[str, Feature] = {}
    for name in params.include:
        framing = Framing(**{key: params.setting(name, key) for key in FramingParams.model_fields})
        _assert_possible(params, name, framing, sample_rate_hz, length)
        parts = {}
        if name in ("mfcc", "mel_levels", "timbre33"):
            parts["mel"] = make("mel", framing)
        if name == "timbre33":
            parts = {
                "mfcc": Mfcc(sample_rate_hz, framing, parts["mel"], n_mfcc=13),
                **{part: make(part, framing) for part in ("centroid", "chroma", "contrast")},
            }
        features[name] = make(name, framing, **parts)
    return features


def build_variants(params: VariantsParams) -> "list[Variant]":
    """The variants that `params` asks for."""
    from stages.features.variants import Variant

    shifted = [Variant("pitch_shift", semitones) for semitones in params.pitch_shift]
    return shifted + [Variant("time_stretch", times) for times in params.time_stretch]


def _assert_possible(
    params: FeaturesParams, name: str, framing: "Framing", sample_rate_hz: int, length: int
) -> None:
    def refuse(key: str, value: Any, why: str) -> EncoreError:
        return EncoreError(f"params.yaml: features.{key} is {value}, but {why}")

    n_fft, highest_hz = framing.n_fft, sample_rate_hz / 2
    if framing.pad_mode == "reflect" and n_fft // 2 >= length and name != "zcr":
        why = f"a segment has {length} samples, too few to reflect half a window; choose a smaller n_fft or "
        pad_mode = params.key_of(name, "pad_mode")
        raise refuse(params.key_of(name, "n_fft"), n_fft, f"{why}features.{pad_mode}=constant")
    if name in ("mel", "mfcc", "mel_levels", "timbre33"):
        mel = params.mel
        top_hz = highest_hz if mel.fmax_hz is None else mel.fmax_hz
        if top_hz > highest_hz:
            raise refuse(
                "mel.fmax_hz", top_hz, f"at {sample_rate_hz} Hz there is nothing above {highest_hz:g}"
            )
        if mel.fmin_hz >= top_hz:
            raise refuse("mel.fmin_hz", mel.fmin_hz, f"the highest band ends at {top_hz:g}; choose less")
    if name == "mfcc" and params.mfcc.deltas and framing.n_frames(length) < params.mfcc.delta_width:
        why = f"a segment has {framing.n_frames(length)} frames; choose less"
        raise refuse("mfcc.delta_width", params.mfcc.delta_width, why)
    if name in ("contrast", "timbre33"):
        n_bands, fmin_hz = params.contrast.n_bands, params.contrast.fmin_hz
        highest_hz = framing.frequency_hz(sample_rate_hz)[-1]
        if fmin_hz * 2 ** (n_bands - 1) >= highest_hz:
            why = f"from {fmin_hz:g} Hz so many octaves pass {highest_hz:g} Hz, where the spectrum ends"
            raise refuse("contrast.n_bands", n_bands, f"{why}; choose less of either, or no {name}")
        if fmin_hz < 2 * sample_rate_hz / n_fft:
            why = f"bins are {sample_rate_hz / n_fft:g} Hz wide, which leaves the lowest bands empty"
            raise refuse("contrast.fmin_hz", fmin_hz, f"{why}; choose more, or a larger n_fft")
