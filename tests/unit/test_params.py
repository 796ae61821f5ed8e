"""A wrong parameter gives one line that names its key in full, its value, and what is allowed."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from stages.audio.params import AudioParams
from stages.core.errors import EncoreError
from stages.core.params import Params, check, check_named, load, read
from stages.entry.registry import SECTIONS, check_section
from stages.features.segments import SegmentParams
from stages.training.recipe import load_recipe
from stages.training.schedule_params import SCHEDULES
from tests.synthetic import BARE, composed_sections, edit_params, line_of, write_params


@pytest.fixture
def sections():
    """Every section as conf/ composes it."""
    return composed_sections(*BARE)


def refusal(section: str, values: object) -> str:
    with pytest.raises(EncoreError) as refused:
        check_section(section, values)
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def changed(values: dict, key: str, value: object) -> dict:
    """A copy of `values` where the dotted `key` is `value`."""
    first, _, rest = key.partition(".")
    return {**values, first: changed(values[first], rest, value) if rest else value}


@pytest.mark.parametrize("section", SECTIONS)
def test_composed_section_is_valid(sections, section):
    check_section(section, sections[section])


@pytest.mark.parametrize("section", SECTIONS)
def test_unknown_key_is_named_with_the_allowed_ones(sections, section):
    line = refusal(section, {**sections[section], "bogus": 1})
    assert f"{section}.bogus" in line
    for key in sections[section]:
        assert key in line


@pytest.mark.parametrize("inner", ["mfcc", "mel"])
def test_unknown_inner_key_is_named_in_full(sections, inner):
    line = refusal("features", changed(sections["features"], f"{inner}.bogus", 1))
    assert f"features.{inner}.bogus" in line
    assert f"n_{inner.removesuffix('cc')}" in line


def test_unknown_variant_is_named_with_the_allowed_ones(sections):
    line = refusal("features", changed(sections["features"], "variants.speed", [1.1]))
    assert line.endswith("features.variants.speed: unknown key; allowed here: pitch_shift, time_stretch")


def test_unknown_key_of_an_optional_section_is_named_with_the_allowed_ones(sections):
    line = refusal("features", changed(sections["features"], "mel.framing", {"bogus": 1}))
    assert line.endswith(
        "features.mel.framing.bogus: unknown key; allowed here: n_fft, hop_length, window, pad_mode"
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_each_missing_key_is_named(sections, section):
    chooser = {"model": "_target_"}.get(section, "name")  # a missing one is answered with the choices
    for key, value in sections[section].items():
        if key != chooser and value != "???":  # that is not given, as nobody has to
            values = {k: v for k, v in sections[section].items() if k != key}
            assert f"{section}.{key}: missing" in refusal(section, values)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", [None, 5, "text", []])
def test_section_that_is_not_a_mapping_is_refused(sections, section, value):
    assert section in refusal(section, value)


@pytest.mark.parametrize("section", SECTIONS)
def test_wrong_type_names_key_and_value(sections, section):
    for key, value in sections[section].items():
        if isinstance(value, dict):
            continue
        # a mapping is no wrong type where the key may be a section
        odd = "odd" if (section, key) == ("augment", "specaugment") else {"odd": 1}
        line = refusal(section, {**sections[section], key: odd})
        assert f"{section}.{key}" in line
        assert "odd" in line


@pytest.mark.parametrize(
    ("section", "key", "value", "allowed"),
    [
        ("dataset", "name", "spotify", "sample, folder, gtzan, fma"),
        ("dataset", "tracks_per_class", 0, "1"),
        ("dataset", "classes", [], "at least 1"),
        ("dataset", "fraction", 0.0, "greater than 0"),
        ("quality", "on_duplicate", "join", "'group', 'drop' or 'keep'"),
        ("quality", "silence_db", 3.0, "less than or equal to 0"),
        ("render", "windows", 0, "1"),
        ("audio", "sample_rate_hz", 0, "2000"),
        ("audio", "sample_rate_hz", 22050.5, "integer"),
        ("audio", "sample_rate_hz", "22050", "integer"),
        ("segment", "length_s", 0, "greater than 0"),
        ("segment", "length_s", -3.0, "greater than 0"),
        ("segment", "length_s", float("inf"), "finite"),
        ("segment", "length_s", True, "number"),
        ("segment", "max_per_track", 0, "1"),
        ("segment", "tail", 1.0, "less than 1"),
        ("segment", "tail", -0.1, "0"),
        ("split", "name", "magic", "stratified"),
        ("split", "valid", 0.0, "greater than 0"),
        ("split", "test", 1, "less than 1"),
        ("split", "seed", -1, "0"),
        ("split", "seed", 1.5, "integer"),
        ("features", "hop_length", -512, "1"),
        ("features", "hop_length", 0, "1"),
        ("features", "hop_length", 4096, "n_fft"),
        ("features", "n_fft", 0, "16"),
        ("features", "pad_mode", "wrap", "reflect"),
        ("features", "include", [], "1"),
        ("features", "include", ["mel", "tempo"], "'mel', 'mel_levels', 'chroma'"),
        ("features", "include", ["mel", "rms", "mel"], "twice"),
        ("features", "n_fft", 65537, "65536"),
        ("features", "window", "kaiser", "'hann', 'hamming', 'blackman' or 'boxcar'"),
        ("features", "dtype", "float64", "'float32' or 'float16'"),
        ("features", "compression", "zip", "'none', 'lzf' or 'gzip'"),
        ("features", "mfcc.n_mfcc", 0, "1"),
        ("features", "mfcc.n_mfcc", 129, "n_mels"),
        ("features", "mfcc.deltas", 3, "2"),
        ("features", "mfcc.deltas", True, "integer"),
        ("features", "mfcc.delta_width", 1, "3"),
        ("features", "mfcc.delta_width", 8, "odd"),
        ("features", "mel.n_mels", 0, "1"),
        ("features", "mel.n_mels", 1025, "1024"),
        ("features", "mel.fmin_hz", -1.0, "0"),
        ("features", "mel.fmax_hz", 0, "greater than 0"),
        ("features", "mel.htk", 1, "boolean"),
        ("features", "mel.norm", None, "'slaney' or 'none'"),
        ("features", "mel.top_db", 0.0, "greater than 0"),
        ("features", "mel.top_db", 1e300, "1000"),
        ("features", "mel.ref", 0.0, "'max' or a number greater than 0"),
        ("features", "mel.ref", "min", "'max' or a number greater than 0"),
        ("features", "mel_levels.n_levels", 1, "2"),
        ("features", "mel_levels.n_levels", 257, "256"),
        ("features", "mel_levels.range_db", 0.0, "0.001"),
        ("features", "mel_levels.range_db", 1e300, "1000"),
        ("features", "chroma.tuning", 0.6, "'estimate' or a number from -0.5 to 0.5"),
        ("features", "chroma.tuning", "auto", "'estimate' or a number from -0.5 to 0.5"),
        ("features", "chroma.tuning", None, "'estimate' or a number from -0.5 to 0.5"),
        ("features", "pitch.scale", "dB", "'db' or 'power'"),
        ("features", "pitch.top_db", -80.0, "greater than 0"),
        ("features", "pitch_chroma.scale", "linear", "'db' or 'power'"),
        ("features", "contrast.n_bands", 0, "1"),
        ("features", "contrast.n_bands", 10_000, "16"),
        ("features", "contrast.fmin_hz", 0.0, "greater than 0"),
        ("features", "contrast.quantile", 1.0, "less than 1"),
        ("features", "rolloff.roll_percent", 85, "less than 1"),
        ("features", "zcr.framing", "reflect", "group of keys"),
        ("features", "mel.framing", {"n_fft": 8}, "16"),
        ("features", "mel.framing", {"hop_length": 0}, "1"),
        ("features", "mel.framing", {"window": "kaiser"}, "'boxcar'"),
        ("features", "mel.framing", {"pad_mode": "edge"}, "'reflect'"),
        ("features", "mel.framing", {"hop_length": 4096}, "n_fft, 2048"),
        ("features", "variants", [{"pitch_shift": 2.0}], "group of keys"),
        ("features", "variants.pitch_shift", 2.0, "list"),
        ("features", "variants.pitch_shift", [2.0, 25.0], "24"),
        ("features", "variants.pitch_shift", [-24.5], "-24"),
        ("features", "variants.pitch_shift", [0], "leave it out"),
        ("features", "variants.pitch_shift", [True], "number"),
        ("features", "variants.pitch_shift", ["up"], "number"),
        ("features", "variants.pitch_shift", [float("nan")], "finite"),
        ("features", "variants.pitch_shift", [2, -2, 2.0], "2 once"),
        ("features", "variants.time_stretch", [0.0], "0.25"),
        ("features", "variants.time_stretch", [-1.1], "0.25"),
        ("features", "variants.time_stretch", [1.1, 4.01], "4"),
        ("features", "variants.time_stretch", [1.0], "leave it out"),
        ("features", "variants.time_stretch", [1.1, 1.1], "1.1 once"),
        ("pictures", "tracks", "a.wav", "list"),
        ("pictures", "tracks", [140], "string"),
        ("pictures", "duration_s", 0, "greater than 0"),
        ("pictures", "duration_s", 601.0, "600"),
        ("baseline", "C", 0.0, "greater than 0"),
        ("baseline", "class_weights", "inverse", "'none' or 'balanced'"),
        ("baseline", "C", float("nan"), "finite"),
        ("model", "_target_", "models.Transformer", "models.CNN"),
        ("model", "_target_", "os.system", "models.CNN"),
        ("model", "_target_", "models.Classifier", "models.CNN"),
        ("model", "hidden", [512, 0], "greater than 0"),
        ("model", "hidden", 512, "list"),
        ("model", "dropout", -0.1, "0"),
        ("model", "dropout", 1.5, "1"),
        ("model", "l2", -1.0, "0"),
        ("train", "epochs", 0, "1"),
        ("train", "batch_size", 0, "1"),
        ("train", "patience", 0, "1"),
        ("train", "patience", 2.5, "integer"),
        ("train", "rounds", 0, "1"),
        ("train", "accumulate", 0, "1"),
        ("train", "momentum", 1.0, "less than 1"),
        ("train", "momentum", -0.1, "0"),
        ("train", "l1", -1e-4, "0"),
        ("train", "clip_norm", 0.0, "greater than 0"),
        ("train", "clip_norm", "none", "number"),
        ("train", "ema_decay", 0.0, "greater than 0"),
        ("train", "ema_decay", 1.0, "less than 1"),
        ("train", "monitor", "train_loss", "'valid_loss' or 'valid_accuracy'"),
        ("train", "keep", "first", "'best' or 'last'"),
        ("train", "scaler", "segment", "'bins', 'example' or 'none'"),
        ("train", "scaler", None, "'bins', 'example' or 'none'"),
        ("train", "compile", 1, "boolean"),
        ("train", "variants", None, "boolean"),
        ("train", "variants", ["pitch_shift=2.0"], "boolean"),
        ("train", "optimizer", "adagrad", "sgd"),
        ("train", "learning_rate", 0.0, "greater than 0"),
        ("train", "learning_rate", float("nan"), "finite"),
        ("train", "weight_decay", -1.0, "0"),
        ("train", "precision", "64-true", "32-true"),
        ("train", "seed", 2**32, "4294967296"),
        (
            "schedule",
            "name",
            "triangle",
            "one of constant, linear, cosine, cosine_restarts, exponential, step",
        ),
        ("schedule", "name", None, "constant, linear"),
        ("schedule", "warmup_epochs", -1.0, "0"),
        ("schedule", "warmup_epochs", None, "number"),
        ("loss", "name", "hinge", "one of cross_entropy, binary_cross_entropy, triplet, supcon"),
        ("loss", "label_smoothing", 1.0, "less than 1"),
        ("loss", "label_smoothing", -0.1, "0"),
        ("loss", "class_weights", "inverse", "'none' or 'balanced'"),
        ("loss", "class_weights", None, "'none' or 'balanced'"),
        ("augment", "mixup", 0.0, "greater than 0"),
        ("augment", "mixup", True, "number"),
        ("augment", "noise", -0.1, "greater than 0"),
        ("augment", "gain_db", 0.0, "greater than 0"),
        ("augment", "shift", 1.5, "1"),
        ("augment", "shift", 0.0, "greater than 0"),
        ("augment", "time_resized_crop", 1.0, "less than 1"),
        ("augment", "time_resized_crop", 0.0, "greater than 0"),
        ("augment", "specaugment", 2, "group of keys"),
        ("evaluate", "bootstrap_samples", 0, "100"),
        ("evaluate", "seed", -1, "0"),
        ("evaluate", "known_accepted", 1.0, "less than 1"),
        ("runtime", "device", "tpu", "cuda"),
        ("runtime", "devices", 0, "1"),
        ("runtime", "memory_gb", -1.0, "0"),
        ("runtime", "workers", -1, "0"),
        ("runtime", "tracking", "maybe", "off"),
        ("runtime", "tracking", True, "off"),
    ],
)
def test_impossible_value_is_named_with_its_key_and_what_is_allowed(sections, section, key, value, allowed):
    line = refusal(section, changed(sections[section], key, value))
    named = line.replace(f"{section}.{key}", "", 1)
    assert named != line, f"does not name {section}.{key}: {line}"
    offending = [*value.values()][-1] if isinstance(value, dict) else value
    offending = offending[-1] if isinstance(offending, list) and offending else offending
    assert str(offending) in named
    assert allowed in named


CHOI = {
    "_target_": "models.ChoiCNN",
    "feature": "mel",
    "channels": [4],
    "pools": [[2, 4]],
    "activation": "elu",
    "dropout": 0.0,
}
BLOCKS = {
    "_target_": "models.BlocksCNN",
    "feature": "mel",
    "channels": [4],
    "pool_after": [],
    "kernel_size": 3,
    "activation": "relu",
    "pooling": "max",
    "residual": False,
    "frequency_as_channels": False,
    "hidden": [],
    "dropout": 0.0,
}


@pytest.mark.parametrize("values", [CHOI, BLOCKS])
def test_model_takes_the_arguments_of_its_constructor(values):
    chosen = check_section("model", values)
    assert (f"models.{chosen.name}", chosen.feature) == (values["_target_"], "mel")
    assert {"_target_": values["_target_"], "feature": chosen.feature, **chosen.kwargs} == values


@pytest.mark.parametrize(
    ("values", "key", "value", "named", "allowed"),
    [
        (CHOI, "channels", [], "model.channels is []", "at least 1"),
        (CHOI, "pools", [], "model.pools is []", "at least 1"),
        (CHOI, "pools", [[2, 0]], "model.pools.0.1 is 0", "greater than 0"),
        (CHOI, "pools", [2, 4], "model.pools.0 is 2", "list"),
        (CHOI, "activation", "swish", "model.activation is 'swish'", "'elu'"),
        (BLOCKS, "residual", 1, "model.residual is 1", "boolean"),
        (BLOCKS, "pool_after", [0], "model.pool_after.0 is 0", "greater than 0"),
        (BLOCKS, "kernel_size", 0, "model.kernel_size is 0", "greater than 0"),
        (BLOCKS, "dropout", 1.5, "model.dropout is 1.5", "1"),
    ],
)
def test_impossible_value_of_a_model_is_named(values, key, value, named, allowed):
    line = refusal("model", {**values, key: value})
    assert named in line
    assert allowed in line.replace(named, "")


@pytest.mark.parametrize(
    ("choice", "key", "value", "allowed"),
    [
        ("linear", "final_ratio", 1.5, "1"),
        ("cosine", "final_ratio", -0.1, "0"),
        ("cosine_restarts", "period_epochs", 0, "1"),
        ("cosine_restarts", "final_ratio", 2.0, "1"),
        ("exponential", "gamma", 0.0, "greater than 0"),
        ("exponential", "gamma", 1.1, "1"),
        ("step", "every_epochs", 0, "1"),
        ("step", "every_epochs", 2.5, "integer"),
        ("step", "gamma", 0.0, "greater than 0"),
        ("plateau", "patience_epochs", 0, "1"),
        ("plateau", "gamma", 1.0, "less than 1"),
    ],
)
def test_impossible_value_of_a_schedule_is_named(choice, key, value, allowed):
    values = composed_sections(f"schedule={choice}")["schedule"]
    line = refusal("schedule", {**values, key: value})
    assert line.startswith(f"params.yaml: schedule.{key} is {value}, should be ")
    assert allowed in line


@pytest.mark.parametrize("choice", SCHEDULES)
def test_key_of_another_schedule_is_refused(choice):
    values = composed_sections(f"schedule={choice}")["schedule"]
    other = next(key for key in ("gamma", "final_ratio") if key not in values)
    line = refusal("schedule", {**values, other: 0.5})
    assert line == f"params.yaml: schedule.{other}: unknown key; allowed here: {', '.join(values)}"


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("freq_masks", -1, "0"),
        ("freq_masks", 1.5, "integer"),
        ("max_bins", 0.0, "greater than 0"),
        ("max_bins", 1.5, "1"),
        ("time_masks", -1, "0"),
        ("max_frames", 0.0, "greater than 0"),
    ],
)
def test_impossible_value_of_specaugment_is_named_in_full(key, value, allowed):
    values = composed_sections("augment=specaugment")["augment"]
    line = refusal("augment", changed(values, f"specaugment.{key}", value))
    assert line.startswith(f"params.yaml: augment.specaugment.{key} is {value}, should be ")
    assert allowed in line
    line = refusal("augment", changed(values, "specaugment.width", 3))
    assert line == (
        "params.yaml: augment.specaugment.width: unknown key; "
        "allowed here: freq_masks, max_bins, time_masks, max_frames"
    )


class TestRecipe:
    """The four sections of the training recipe, read together."""

    @pytest.fixture(autouse=True)
    def _params(self, workspace):
        write_params()

    def test_recipe_has_the_values_of_its_sections(self):
        edit_params("train", patience=None, clip_norm=2, ema_decay=0.9)
        edit_params("loss", label_smoothing=0.1)
        edit_params("augment", noise=0.5, mixup=1)
        recipe = load_recipe()
        assert recipe.train.patience is None
        assert (recipe.train.clip_norm, recipe.train.ema_decay) == (2.0, 0.9)
        assert recipe.schedule.name == "constant"
        assert recipe.loss.label_smoothing == 0.1
        assert recipe.augment.active == ["mixup", "noise"]

    def test_nothing_is_augmented_by_default(self):
        assert load_recipe().augment.active == []

    def test_only_keeps_a_single_augmentation(self):
        edit_params("augment", noise=0.5, mixup=1, shift=0.1)
        augment = load_recipe().augment
        assert augment.only("noise").model_dump() == {
            **dict.fromkeys(augment.model_dump()),
            "noise": 0.5,
        }
        assert augment.active == ["mixup", "noise", "shift"]

    @pytest.mark.parametrize("warmup", [3.0, 3, 50.0])
    def test_warm_up_as_long_as_the_training_is_refused(self, warmup):
        edit_params("train", epochs=3, rounds=20)
        edit_params("schedule", warmup_epochs=warmup)
        line = line_of(load_recipe)
        assert line.startswith(f"params.yaml: schedule.warmup_epochs is {float(warmup)}, should be under ")
        assert line.endswith("under train.epochs, which is 3")

    def test_warm_up_shorter_than_the_training_is_accepted(self):
        edit_params("train", epochs=3)
        edit_params("schedule", warmup_epochs=2.99)
        assert load_recipe().schedule.warmup_epochs == 2.99

    @pytest.mark.parametrize("section", ["train", "schedule", "loss", "augment"])
    def test_missing_section_is_named(self, section):
        text = Path("params.yaml").read_text("utf-8")
        Path("params.yaml").write_text(text.replace(f"\n{section}:", f"\nnot_{section}:"), "utf-8")
        if text.startswith(f"{section}:"):
            Path("params.yaml").write_text(f"not_{text}", "utf-8")
        assert f"no section '{section}'" in line_of(load_recipe)


def test_shares_that_leave_no_tracks_for_training_are_refused(sections):
    line = refusal("split", {**sections["split"], "valid": 0.5, "test": 0.5})
    assert "split.valid is 0.5, should be under 1 together with test, 0.5" in line
    assert line.startswith("params.yaml: split")
    assert "{" not in line, "the whole section is dumped into the line"


def test_numbers_are_accepted_as_names_of_classes():
    dataset, split = (composed_sections()[section] for section in ("dataset", "split"))
    assert check_section("dataset", {**dataset, "classes": [1990, "01"]}).classes == ["1990", "01"]
    assert check_section("split", {**split, "unknown_classes": [80]}).unknown_classes == ["80"]
    assert "dataset.classes.0 is True" in refusal("dataset", {**dataset, "classes": [True]})
    assert "dataset.classes.0 is 1.5" in refusal("dataset", {**dataset, "classes": [1.5]})


@pytest.mark.parametrize(
    ("section", "key", "value", "meant"),
    [
        ("train", "epoch", 5, "epochs"),
        ("train", "optimizer", "adamm", "adam"),
        ("split", "name", "groupd", "grouped"),
    ],
)
def test_the_nearest_right_spelling_is_named(sections, section, key, value, meant):
    assert refusal(section, {**sections[section], key: value}).endswith(f"; did you mean {meant}?")


def test_fold_beyond_k_is_refused():
    values = composed_sections("split=kfold")["split"]
    line = refusal("split", {**values, "fold": 5})
    assert "split.fold is 5, should be from 0 to 4" in line
    assert "{" not in line, "the whole section is dumped into the line"
    assert "split.k" in refusal("split", {**values, "k": 2})


def test_value_without_a_default_is_asked_for():
    values = composed_sections("dataset=folder", "split=file")
    for section in ("dataset", "split"):
        assert f"{section}.path" in refusal(section, values[section])


def test_parameters_are_frozen(sections):
    params = check(sections["audio"], AudioParams, "audio")
    with pytest.raises(ValueError, match="frozen"):
        params.sample_rate_hz = 44100


def test_whole_number_is_accepted_as_float(sections):
    assert check({**sections["segment"], "length_s": 6}, SegmentParams, "segment").length_s == 6.0


class Any(Params):
    """Parameters of an example section."""

    n: int = Field(ge=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not found"),
        ("", "no section 'any'"),
        ("- 1\n", "no section 'any'"),
        ("other:\n  n: 1\n", "no section 'any'"),
        ("any: {n: 1\n", "not readable as YAML"),
        ("any:\n\tn: 1\n", "not readable as YAML"),
        ("any:\n  n: 1\n  n: 2\n", "not readable as YAML"),
        ("any:\n  n: !!python/object:os.system {}\n", "not readable as YAML"),
        (b"any:\n  n: \xff\n", "not readable as YAML"),
        ("any:\n", "any"),
        ("any:\n  n: yes\n", "any.n"),  # YAML 1.2: a string, as DVC reads it
    ],
)
def test_unreadable_file_gives_one_line(workspace, content, reason):
    if content is not None:
        Path("params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EncoreError) as refused:
        load("any", Any)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_yaml_is_parsed_as_dvc_parses_it(workspace):
    Path("params.yaml").write_text("any:\n  on: 1e-3\n  off: off\n  n: 0o17\n", "utf-8")
    assert read("any") == {"on": 0.001, "off": "off", "n": 15}


class Inner(Params):
    """An example of a section within a section."""

    width: int
    renamed: ClassVar[dict[str, str]] = {"size": "width"}


class Renamed(Params):
    """An example of a section whose keys were renamed."""

    name: str
    inner: Inner | None
    renamed: ClassVar[dict[str, str]] = {"kind": "name", "seed": "evaluate.seed"}


@pytest.mark.parametrize(
    ("values", "old", "new"),
    [
        ({"kind": "a", "inner": None}, "any.kind", "any.name"),
        ({"name": "a", "inner": {"size": 1}}, "any.inner.size", "any.inner.width"),
        ({"name": "a", "inner": {"size": 1, "width": 1}}, "any.inner.size", "any.inner.width"),
        ({"name": "a", "inner": None, "seed": 0}, "any.seed", "evaluate.seed"),
    ],
)
def test_old_key_is_answered_with_its_new_name(values, old, new):
    line = f"params.yaml: {old} is now {new}; change it, or `make params` rewrites the file from conf/"
    assert line_of(lambda: check(values, Renamed, "any")) == line


def test_old_key_that_makes_the_choice_is_answered_with_its_new_name():
    line = line_of(lambda: check_named({"kind": "a", "inner": None}, {"a": Renamed}, "any"))
    assert line.startswith("params.yaml: any.kind is now any.name; ")


@pytest.mark.parametrize(
    ("section", "choice", "old", "new"),
    [
        ("augment", "none", "crop", "time_resized_crop"),
        ("augment", "specaugment", "specaugment.bands", "specaugment.freq_masks"),
        ("augment", "specaugment", "specaugment.stretches", "specaugment.time_masks"),
        ("schedule", "linear", "final", "final_ratio"),
        ("schedule", "cosine", "final", "final_ratio"),
        ("schedule", "cosine_restarts", "final", "final_ratio"),
        ("split", "grouped", "scheme", "name"),
        ("split", "file", "scheme", "name"),
    ],
)
def test_renamed_keys_of_conf_are_answered(section, choice, old, new):
    values = composed_sections(f"{section}={choice}")[section]
    *path, last = old.split(".")
    inner = values
    for part in path:
        inner = inner[part]
    before = {key if key != new.rpartition(".")[2] else last: value for key, value in inner.items()}
    line = refusal(section, {**values, path[0]: before} if path else before)
    assert line.startswith(f"params.yaml: {section}.{old} is now {section}.{new}; ")


@pytest.mark.parametrize("key", ["bootstrap_samples", "seed"])
def test_keys_that_moved_to_evaluate_are_answered(sections, key):
    line = refusal("baseline", {**sections["baseline"], key: 200})
    assert line.startswith(f"params.yaml: baseline.{key} is now evaluate.{key}; ")
