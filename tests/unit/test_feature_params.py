"""From the `features` section to the features: settings have their effects, impossible ones are refused."""

import warnings
from typing import Any

import numpy as np
import pytest

from stages.core.errors import EncoreError
from stages.core.params import check
from stages.features.catalogue import CATALOGUE, Contrast, Mel, Mfcc, extract
from stages.features.feature import Feature
from stages.features.params import FeaturesParams, VariantsParams, build, build_variants
from stages.features.spectra import Framing
from stages.features.variants import Variant
from tests.synthetic import BARE, FRAMED, composed_sections, noise, tone

RATE_HZ, LENGTH = 22050, 66150
EVERY = FRAMED
FRAMING = Framing(n_fft=2048, hop_length=512, window="hann", pad_mode="constant")


def section(**changes: Any) -> dict[str, Any]:
    """The section as conf/ composes it, with every feature; ``mel__htk=True`` changes ``mel.htk``."""
    values = {**composed_sections(*BARE)["features"], "include": EVERY}
    for name, value in changes.items():
        key, _, inner = name.partition("__")
        values[key] = {**values[key], inner: value} if inner else value
    return values


def built(rate_hz: int = RATE_HZ, length: int = LENGTH, **changes: Any) -> dict[str, Feature]:
    return build(check(section(**changes), FeaturesParams, "features"), rate_hz, length)


def refusal(rate_hz: int = RATE_HZ, length: int = LENGTH, **changes: Any) -> str:
    with pytest.raises(EncoreError) as refused:
        built(rate_hz, length, **changes)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith("params.yaml: features.")
    return line


def differing(**changes: Any) -> set[str]:
    """Features that `changes` alters."""
    before, after = built(), built(**changes)
    return {name for name in EVERY if before[name] != after[name]}


def test_every_feature_of_the_catalogue_can_be_included():
    assert list(built()) == EVERY
    for name, kind in CATALOGUE.items():
        needed = {"encoder__path": "/some/encoder.onnx"} if name == "encoder" else {}
        (alone,) = built(include=[name], **needed).values()
        assert type(alone) is kind


def test_each_feature_of_the_catalogue_has_a_section_in_conf():
    assert [name for name in FeaturesParams.model_fields if name in CATALOGUE] == [
        name for name, value in section().items() if isinstance(value, dict) and name != "variants"
    ]


def test_features_come_in_the_order_of_include():
    assert list(built(include=["rms", "mel", "chroma"])) == ["rms", "mel", "chroma"]


def test_settings_in_conf_reach_the_features():
    known = built()
    every = {"sample_rate_hz": RATE_HZ, "framing": FRAMING}
    mel = Mel(**every, n_mels=128, fmin_hz=0.0, fmax_hz=None, htk=False, norm="slaney", top_db=80.0, ref=1.0)
    assert known["mel"] == mel
    assert known["mfcc"] == Mfcc(**every, mel=mel, n_mfcc=13, deltas=0, delta_width=9)
    assert known["contrast"] == Contrast(**every, n_bands=6, fmin_hz=200.0, quantile=0.02)
    assert {feature.framing for feature in known.values()} == {FRAMING}
    assert {feature.sample_rate_hz for feature in known.values()} == {RATE_HZ}


OF_MEL = {"mel", "mfcc", "mel_levels", "timbre33"}
SETTINGS = [
    ("n_fft", 4096, set(EVERY)),
    ("hop_length", 441, set(EVERY)),
    ("window", "hamming", set(EVERY)),
    ("pad_mode", "reflect", set(EVERY)),
    ("mel__n_mels", 64, OF_MEL),
    ("mel__fmin_hz", 20.0, OF_MEL),
    ("mel__fmax_hz", 8000.0, OF_MEL),
    ("mel__htk", True, OF_MEL),
    ("mel__norm", "none", OF_MEL),
    ("mel__top_db", 60.0, OF_MEL),
    ("mel__top_db", None, OF_MEL),
    ("mel__ref", "max", OF_MEL),
    ("mel__ref", 0.5, OF_MEL),
    ("mfcc__n_mfcc", 20, {"mfcc"}),
    ("mfcc__deltas", 2, {"mfcc"}),
    ("mfcc__delta_width", 5, {"mfcc"}),
    ("mel_levels__n_levels", 8, {"mel_levels"}),
    ("mel_levels__range_db", 60.0, {"mel_levels"}),
    ("chroma__tuning", 0.25, {"chroma", "timbre33"}),
    ("chroma__tuning", "estimate", {"chroma", "timbre33"}),
    ("pitch__scale", "power", {"pitch"}),
    ("pitch__top_db", None, {"pitch"}),
    ("pitch_chroma__scale", "power", {"pitch_chroma"}),
    ("pitch_chroma__top_db", 60.0, {"pitch_chroma"}),
    ("contrast__fmin_hz", 100.0, {"contrast", "timbre33"}),
    ("contrast__quantile", 0.1, {"contrast", "timbre33"}),
    ("rolloff__roll_percent", 0.5, {"rolloff"}),
]


@pytest.mark.parametrize(("key", "value", "of"), SETTINGS, ids=[f"{s[0]}={s[1]}" for s in SETTINGS])
def test_a_setting_reaches_its_features_and_no_others(key, value, of):
    assert differing(**{key: value}) == of
    name, _, inner = key.partition("__")
    feature = built(**{key: value})[name if inner else "mfcc"]
    assert getattr(feature if inner else feature.framing, inner or name) == value


def test_n_bands_reaches_contrast():
    assert built(include=["contrast"], contrast__n_bands=4)["contrast"].n_bands == 4


def test_every_setting_in_conf_is_tested_above():
    tried = {key for key, _, _ in SETTINGS} | {"contrast__n_bands"}
    values = composed_sections(*BARE)["features"]
    of_one = {f"{name}__{key}" for name in EVERY for key in values[name] if key != "framing"}
    of_all = values.keys() - {"include", "dtype", "compression", "variants", "watch", *CATALOGUE}
    assert tried == of_one | of_all


@pytest.mark.parametrize("key", ["dtype", "compression"])
def test_storage_settings_are_not_settings_of_a_feature(key):
    assert differing(**{key: {"dtype": "float16", "compression": "gzip"}[key]}) == set()


def parts(feature: Feature) -> list[Feature]:
    return [feature, *(inner for name in feature.parts() for inner in parts(getattr(feature, name)))]


@pytest.mark.parametrize("name", EVERY)
def test_framing_of_a_section_applies_to_that_feature_only(name):
    own = {"n_fft": 1024, "hop_length": 256, "window": "boxcar", "pad_mode": "reflect"}
    assert differing(**{f"{name}__framing": own}) == {name}
    feature = built(**{f"{name}__framing": own})[name]
    assert {part.framing for part in parts(feature)} == {Framing(**own)}, "and to its parts"


@pytest.mark.parametrize(
    ("key", "value"), [("n_fft", 1024), ("hop_length", 256), ("window", "boxcar"), ("pad_mode", "reflect")]
)
def test_framing_of_a_section_may_have_one_key(key, value):
    assert differing(chroma__framing={key: value}) == {"chroma"}
    assert built(chroma__framing={key: value})["chroma"].framing == FRAMING.model_copy(update={key: value})


@pytest.mark.parametrize("framing", [{}, {"n_fft": None, "pad_mode": None}, {"n_fft": 2048}])
def test_a_framing_equal_to_the_common_one_changes_nothing(framing):
    assert differing(mel__framing=framing) == set()


def test_framing_of_mel_does_not_apply_to_features_made_from_mel():
    assert differing(mel__framing={"pad_mode": "reflect"}) == {"mel"}


def test_timbre33_uses_the_sections_of_its_parts_but_13_mfcc():
    timbre = built(mfcc__n_mfcc=40, mfcc__deltas=2, mel__htk=True, chroma__tuning=0.1)["timbre33"]
    assert (timbre.mfcc.n_mfcc, timbre.mfcc.deltas) == (13, 0)
    assert timbre.mfcc.mel.htk
    assert timbre.chroma.tuning == 0.1


@pytest.mark.parametrize(("key", "value"), [("mel__ref", 1), ("chroma__tuning", 0), ("mel__top_db", 80)])
def test_a_whole_number_is_the_same_as_a_float(key, value):
    assert differing(**{key: value}) == set()
    name, _, inner = key.partition("__")
    arrived = getattr(built(**{key: value})[name], inner)
    assert isinstance(arrived, float), "else the work cache has two entries"


@pytest.mark.parametrize(
    ("changes", "stated"),
    [
        ({"hop_length": 4096}, ["features.hop_length is 4096", "at most n_fft, 2048"]),
        (
            {"mel__framing": {"hop_length": 4096}},
            ["features.mel.framing.hop_length is 4096", "n_fft, 2048 for mel"],
        ),
        ({"chroma__framing": {"n_fft": 256}}, ["features.hop_length is 512", "n_fft, 256 for chroma"]),
        ({"include": ["mel", "rms", "mel"]}, ["features.include has 'mel' twice"]),
        ({"include": ["mel", "mels"]}, ["features.include.1 is 'mels'", "'mel_levels'", "'timbre33'"]),
        ({"mfcc__n_mfcc": 129}, ["features.mfcc.n_mfcc is 129", "at most mel.n_mels, 128"]),
        ({"mel__n_mels": 12}, ["features.mfcc.n_mfcc is 13", "at most mel.n_mels, 12"]),
        ({"mfcc__delta_width": 8}, ["features.mfcc.delta_width is 8", "odd"]),
        ({"mfcc__deltas": 1, "mfcc__delta_width": 131}, ["features.mfcc.delta_width is 131", "130 frames"]),
        ({"contrast__n_bands": 5}, ["'timbre33'", "contrast.n_bands of 6", "not 128 and 5"]),
        ({"mel__n_mels": 12, "mfcc__n_mfcc": 2}, ["'timbre33'", "mel.n_mels of at least 13", "12"]),
        ({"mel__fmax_hz": 11025.5}, ["features.mel.fmax_hz is 11025.5", "22050 Hz", "above 11025"]),
        ({"mel__fmin_hz": 11025.0}, ["features.mel.fmin_hz is 11025.0", "ends at 11025"]),
        (
            {"mel__fmin_hz": 500.0, "mel__fmax_hz": 400.0},
            ["features.mel.fmin_hz is 500.0", "ends at 400"],
        ),
        (
            {"include": ["contrast"], "contrast__n_bands": 7},
            ["features.contrast.n_bands is 7", "200 Hz", "11025 Hz", "no feature with contrast"],
        ),
        ({"contrast__fmin_hz": 350.0}, ["features.contrast.n_bands is 6", "350 Hz", "11025 Hz"]),
        ({"contrast__fmin_hz": 21.0}, ["features.contrast.fmin_hz is 21.0", "10.7666 Hz wide", "n_fft"]),
        # the highest bin of an odd window is at 11,019.6 Hz, below half the rate
        ({"n_fft": 2049, "contrast__fmin_hz": 344.5}, ["features.contrast.n_bands is 6", "11019.6 Hz"]),
        ({"n_fft": 128, "hop_length": 128}, ["features.contrast.fmin_hz is 200.0", "172.266 Hz wide"]),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_together_are_refused(changes, stated):
    line = refusal(**changes)
    for part in stated:
        assert part in line


@pytest.mark.parametrize("length", [1, 1024])
def test_a_segment_too_short_to_reflect_is_refused(length):
    line = refusal(length=length, include=["mel"], pad_mode="reflect")
    assert "features.n_fft is 2048" in line
    assert f"{length} samples" in line
    assert "choose a smaller n_fft or features.pad_mode=constant" in line
    built(length=1025, include=["mel"], pad_mode="reflect")
    built(length=length, include=["mel"])


def test_the_message_names_the_framing_key_of_the_section():
    own = {"n_fft": 4096, "pad_mode": "reflect"}
    line = refusal(length=2048, include=["rms", "mel"], mel__framing=own)
    assert "features.mel.framing.n_fft is 4096" in line
    assert "features.mel.framing.pad_mode=constant" in line


def test_settings_of_features_not_included_are_not_refused():
    others = [name for name in EVERY if name not in ("mfcc", "contrast", "timbre33", "mel", "mel_levels")]
    built(include=others, mfcc__framing={"hop_length": 4096}, mel__n_mels=2, contrast__n_bands=9)
    built(include=others, mel__fmax_hz=50_000.0, mfcc__deltas=2, mfcc__delta_width=1001)
    built(include=["mel"], mel__n_mels=2)


def test_by_default_there_are_no_variants():
    assert build_variants(check(section()["variants"], VariantsParams, "features.variants")) == []


def test_variants_have_the_order_of_the_section():
    asked = {"time_stretch": [1.1, 0.9], "pitch_shift": [2, -0.5]}
    variants = build_variants(check(asked, VariantsParams, "features.variants"))
    assert variants == [
        Variant("pitch_shift", 2.0),
        Variant("pitch_shift", -0.5),
        Variant("time_stretch", 1.1),
        Variant("time_stretch", 0.9),
    ]
    assert variants[0].name == "pitch_shift=2.0"
    assert len({variant.name for variant in variants}) == len(variants)


def test_variants_are_not_a_setting_of_a_feature():
    assert differing(variants={"pitch_shift": [1.0], "time_stretch": [2.0]}) == set()


ABSURD = [
    {"n_fft": 16, "hop_length": 16},
    {"n_fft": 17, "hop_length": 1},
    {"n_fft": 65536, "hop_length": 65536},
    {"n_fft": 16, "hop_length": 16, "mel__fmin_hz": 1e-9},
    {"window": "boxcar", "pad_mode": "reflect"},
    {"mel__n_mels": 1, "mfcc__n_mfcc": 1},
    {"mel__n_mels": 1024, "mfcc__n_mfcc": 1024},
    {"mel__fmin_hz": 8000.0, "mel__fmax_hz": 8000.001},
    {"mel__fmax_hz": 1e-9},
    {"mel__ref": 1e-300},
    {"mel__ref": 1e300},
    {"mel__top_db": 1e-300, "pitch__top_db": 1e-300},
    {"mel__top_db": 1000.0, "pitch__top_db": 1000.0},
    {"mel__top_db": 20.0, "mel_levels__range_db": 80.0},
    {"mel_levels__n_levels": 256, "mel_levels__range_db": 0.001},
    {"mel_levels__n_levels": 256, "mel_levels__range_db": 1000.0},
    {"rolloff__roll_percent": 0.999999},
    {"rolloff__roll_percent": 1 - 1e-16},
    {"rolloff__roll_percent": 1e-300},
    {"contrast__quantile": 0.999999},
    {"contrast__quantile": 1e-300},
    {"contrast__fmin_hz": 22.0},
    {"chroma__tuning": "estimate", "n_fft": 4096},
    {"mfcc__deltas": 2, "mfcc__delta_width": 3},
    {"pitch__scale": "power", "pitch_chroma__scale": "power"},
]


@pytest.mark.parametrize("changes", ABSURD, ids=str)
def test_extreme_allowed_values_give_finite_numbers(changes):
    tiny = changes.get("n_fft", 2048) < 1000  # whose bins are too wide for contrast
    include = [name for name in EVERY if not (tiny and name in ("contrast", "timbre33"))]
    include = [name for name in include if name != "timbre33" or changes.get("mel__n_mels", 128) > 12]
    features = built(length=8000, include=include, **changes)
    sounds = (noise(8000), np.zeros(8000, np.float32), tone(8000, 440, RATE_HZ), np.ones(8000, np.float32))
    for samples in sounds:
        with warnings.catch_warnings(action="error"):
            extracted = extract(samples, [0], len(samples), features)
        for name, values in extracted.items():
            assert np.isfinite(values).all(), name
    if "mel_levels" in extracted:
        assert extracted["mel_levels"].max() < changes.get("mel_levels__n_levels", 16)


def test_a_segment_of_one_sample_has_features():
    features = built(length=1, include=[name for name in EVERY if name != "mfcc"], n_fft=2049)
    for name, values in extract(np.ones(1, np.float32), [0], 1, features).items():
        assert values.shape[2] == 1, name
        assert np.isfinite(values).all(), name
