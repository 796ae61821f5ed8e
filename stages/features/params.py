"""The `features` section of params.yaml, and the features that it includes."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, GetPydanticSchema, create_model, model_validator

from stages.core.errors import EncoreError
from stages.core.params import Params, once_each
from stages.features.catalogue import CATALOGUE
from stages.features.feature import Feature, FramedFeature
from stages.features.spectra import Framing, HopLength, NFft, PadMode, Window
from stages.features.variants import Variant

SOME_RATE_HZ = 22050  # for checks that do not depend on it

Model = TypeVar("Model", bound=Params)


def _with(fields: Mapping[str, Any]) -> Callable[[type[Model]], type[Model]]:
    """Add `fields`, in the form of pydantic's `create_model`, to the model that is decorated."""

    def extend(model: type[Model]) -> type[Model]:
        return create_model(
            model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields
        )

    return extend


def _not(value: float) -> AfterValidator:
    """Refuse the number that would leave the music as it is."""

    def validate(given: float) -> float:
        if given == value:
            raise ValueError("which is the music as it is; leave it out")
        return given

    return AfterValidator(validate)


Name = Annotated[str, GetPydanticSchema(lambda _, schema_of: schema_of(Literal[*CATALOGUE]))]
Semitones = Annotated[float, Field(ge=-24, le=24), _not(0)]
Rate = Annotated[float, Field(ge=0.25, le=4), _not(1)]


@_with({name: (allowed | None, None) for name, allowed in Framing.__annotations__.items()})
class FramingParams(Params):
    """Settings of a feature's framing that replace the common ones: any of the fields of `Framing`."""


class FramedSection(Params):
    """The section of one feature: its settings, and how its framing differs from the common one."""

    framing: FramingParams | None


def _section(feature: type[Feature]) -> type[Params]:
    settings: dict[str, Any] = {
        name: (field.annotation, field) for name, field in feature.own_settings().items()
    }
    base: type[Params] = FramedSection if issubclass(feature, FramedFeature) else Params
    return create_model(f"{feature.__name__}Section", __base__=base, __module__=__name__, **settings)


class VariantsParams(Params):
    """Variants of every track's waveform, whose features are stored beside those of the original.

    Attributes
    ----------
    pitch_shift : list of float
        In semitones, up or down.
    time_stretch : list of float
        Speed, relative to the original.
    """

    pitch_shift: Annotated[list[Semitones], AfterValidator(once_each)]
    time_stretch: Annotated[list[Rate], AfterValidator(once_each)]


@_with({name: (_section(feature), ...) for name, feature in CATALOGUE.items()})
class FeaturesParams(Params):
    """The `features` section, which has a section for each feature of the catalogue.

    Attributes
    ----------
    n_fft, hop_length : int
        Length of a frame, and distance between the starts of two frames, in samples.
    window : {'hann', 'hamming', 'blackman', 'boxcar'}
    pad_mode : {'constant', 'reflect'}
        How a segment is padded at both ends.
    include : list of str
        What features.h5 contains.
    dtype : {'float32', 'float16'}
        Of the stored numbers.
    compression : {'none', 'lzf', 'gzip'}
    variants : VariantsParams
    watch : str
        A file that DVC watches: that of the encoder, once it is named.
    """

    n_fft: NFft
    hop_length: HopLength
    window: Window
    pad_mode: PadMode
    include: list[Name] = Field(min_length=1)
    dtype: Literal["float32", "float16"]
    compression: Literal["none", "lzf", "gzip"]
    variants: VariantsParams
    watch: str

    @model_validator(mode="after")
    def _fit_together(self) -> "FeaturesParams":
        for name in self.include:
            if self.include.count(name) > 1:
                raise ValueError(f"include has {name!r} twice")
            feature = self.feature(name, SOME_RATE_HZ)
            framing = feature.framing if isinstance(feature, FramedFeature) else None
            if framing and framing.hop_length > framing.n_fft:
                key = self.key_of(name, "hop_length")
                raise ValueError(
                    f"{key} is {framing.hop_length}, should be at most n_fft, {framing.n_fft} for {name}"
                )
            feature.check_settings()
        return self

    def section(self, name: str) -> Params:
        """Return the section of a feature."""
        section: Params = getattr(self, name)
        return section

    def framing_of(self, name: str) -> Framing:
        """Return the framing of a feature: the common settings, replaced by those of its section."""
        common = {key: getattr(self, key) for key in Framing.model_fields}
        given = self._given_framing(name)
        return Framing(**common | ({} if given is None else given.model_dump(exclude_none=True)))

    def key_of(self, name: str, key: str) -> str:
        """Return the key, below ``features``, from which a feature's framing takes `key`."""
        given = self._given_framing(name)
        return key if given is None or getattr(given, key) is None else f"{name}.framing.{key}"

    def _given_framing(self, name: str) -> FramingParams | None:
        framing: FramingParams | None = getattr(self.section(name), "framing", None)
        return framing

    def feature(self, name: str, sample_rate_hz: int) -> Feature:
        """Return a feature with these settings.

        Its parts take their settings from their sections, but have the framing of the feature.
        """
        common: dict[str, Any] = {"sample_rate_hz": sample_rate_hz}
        if issubclass(CATALOGUE[name], FramedFeature):
            common["framing"] = self.framing_of(name)
        return self._feature(name, common, {})

    def _feature(self, name: str, common: Mapping[str, Any], fixed: Mapping[str, Any]) -> Feature:
        kind = CATALOGUE[name]
        settings = self.section(name).model_dump(exclude={"framing"})
        parts = {part: self._feature(part, common, kind.fixed.get(part, {})) for part in kind.parts()}
        return kind(**{**common, **parts, **settings, **fixed})


def build(params: FeaturesParams, sample_rate_hz: int, length: int) -> dict[str, Feature]:
    """Return the features that `params` includes, for segments of `length` samples.

    Raises
    ------
    EncoreError
        If a setting does not fit the sample rate or the length of a segment.
    """
    features = {}
    for name in params.include:
        feature = params.feature(name, sample_rate_hz)
        if isinstance(feature, FramedFeature) and feature.uses_pad_mode:
            _check_padding(params, name, feature.framing, length)
        try:
            feature.check_music(length)
        except ValueError as misfit:
            raise EncoreError(f"params.yaml: features.{misfit}") from None
        features[name] = feature
    return features


def _check_padding(params: FeaturesParams, name: str, framing: Framing, length: int) -> None:
    if framing.pad_mode == "reflect" and framing.n_fft // 2 >= length:
        n_fft_key, pad_mode_key = (params.key_of(name, key) for key in ("n_fft", "pad_mode"))
        raise EncoreError(
            f"params.yaml: features.{n_fft_key} is {framing.n_fft}, but a segment has {length} samples, "
            f"too few to reflect half a window; choose a smaller n_fft or features.{pad_mode_key}=constant"
        )


def build_variants(params: VariantsParams) -> list[Variant]:
    """Return the variants that `params` lists."""
    shifted = [Variant("pitch_shift", semitones) for semitones in params.pitch_shift]
    return shifted + [Variant("time_stretch", times) for times in params.time_stretch]
