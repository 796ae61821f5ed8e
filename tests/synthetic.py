"""Made-up audio, features and workspaces for the tests; everything comes from numpy and a seed."""

import hashlib
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import soundfile

from stages.audio.params import RenderParams
from stages.core.documents import write_document
from stages.core.errors import EncoreError
from stages.core.params import check
from stages.core.tables import Assignment, AudioTrack, Quality, RawTrack, SegmentedTrack, write_rows
from stages.features.catalogue import CATALOGUE
from stages.features.feature import FramedFeature
from stages.storage import audio_file, feature_file
from stages.training.augment_params import AugmentParams
from stages.training.description import Description, ModelInput
from stages.training.loss_params import check_loss
from stages.training.recipe import Recipe, TrainParams
from stages.training.scaler import Scaler
from stages.training.schedule_params import check_schedule

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import Tensor

    from models import Classifier
    from stages.training.loop import Training

REPO = Path(__file__).parents[1]
RATE_HZ = 8000
# Real music for the tests that need it: the folder `genres_original` of GTZAN, or of a part of it.
GTZAN = Path(os.environ["ENCORE_GTZAN"]) if "ENCORE_GTZAN" in os.environ else None
NO_GTZAN = "needs real music: set ENCORE_GTZAN to the folder genres_original of GTZAN"
needs_gtzan = pytest.mark.skipif(GTZAN is None, reason=NO_GTZAN)
FRAMED = [name for name, feature in CATALOGUE.items() if issubclass(feature, FramedFeature)]
CLASSES = ("blues", "jazz", "rock")
GROUPS = {path.name for path in (REPO / "conf").iterdir() if path.is_dir()}
# A network and a baseline without what makes them good and slow.
BARE = (
    "model=bare/mlp",
    "baseline.features=[mfcc]",
)
# What fits audio of a few seconds at 8 kHz, and touches nothing outside the test's folder.
SMALL = (
    f"audio.sample_rate_hz={RATE_HZ}",
    "segment.length_s=1.0",
    "features.n_fft=512",
    "features.hop_length=256",
    "features.mel.n_mels=32",
    *BARE,
    "evaluate.bootstrap_samples=200",
    "runtime.device=cpu",
    "runtime.workers=1",
    "runtime.tracking='off'",
)


@cache
def _composed_choices(*choices: str) -> "DictConfig":
    """What conf/ composes to under overrides that choose files of it: the slow part, a third of a second."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(REPO / "conf"), version_base=None):
        return compose("config", [*choices])


@cache
def composed(*overrides: str) -> str:
    """What conf/ composes to under `overrides`, as the text of a params.yaml: the same as by DVC."""
    from copy import deepcopy

    from dvc.utils.hydra import to_hydra_overrides
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    choices = {
        group: override
        for override in overrides
        if (group := override.partition("=")[0].lstrip("+")) in GROUPS
    }  # of two the last
    values = [override for override in overrides if override.partition("=")[0].lstrip("+") not in GROUPS]
    config = deepcopy(_composed_choices(*choices.values()))
    ConfigLoaderImpl._apply_overrides_to_config(to_hydra_overrides(values), config)
    OmegaConf.resolve(config)
    return OmegaConf.to_yaml(config)


@cache
def composed_sections(*overrides: str) -> dict[str, Any]:
    """The same, parsed."""
    from ruamel.yaml import YAML

    parsed: dict[str, Any] = YAML(typ="safe", pure=True).load(composed(*overrides))
    return parsed


def recipe(
    train: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
    loss: dict[str, Any] | None = None,
    augment: dict[str, Any] | None = None,
) -> Recipe:
    """The recipe of conf/ with other values; a `schedule` is given whole, but for its warm-up."""
    sections = composed_sections(*BARE)
    return Recipe(
        train=check({**sections["train"], **(train or {})}, TrainParams, "train"),
        schedule=check_schedule({"warmup_epochs": 0.0, **(schedule or sections["schedule"])}),
        loss=check_loss(_loss(sections["loss"], loss or {})),
        augment=check({**sections["augment"], **(augment or {})}, AugmentParams, "augment"),
    )


def description(
    train: dict[str, Any] | None = None,
    loss: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **fields: Any,
) -> Description:
    """What model.json says of a small MLP on MFCC; `settings` are those of the feature."""
    about: dict[str, Any] = {
        "model": "MLP",
        "kwargs": {"input_shape": (13, 16), "n_classes": 3, "hidden": [8], "dropout": 0.0, "l2": 0.0},
        "labels": list(CLASSES),
        "input": ModelInput(
            feature="mfcc",
            settings={"mfcc": {"n_fft": 512, "hop_length": 256, **(settings or {})}},
            sample_rate_hz=RATE_HZ,
            segment_length=RATE_HZ,
            variants=[],
            audio_sha256="0" * 64,
            made_with="numpy",
        ),
        "rendering": RenderParams(window_s=30.0, windows=1, control=False),
        "scaler": Scaler(name="none", mean=[], std=[]),
        "recipe": recipe(train, loss=loss),
        "kept_epoch": 1,
        "content_key": "0123456789abcdef",
    }
    return Description(**(about | fields))


def _loss(usual: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What is given of the usual loss, or another one whole."""
    return given if "embedding_size" in given else {**usual, **given}


def training(
    model: "Classifier",
    recipe: Recipe,
    train: "tuple[Tensor, Tensor]",
    valid: "tuple[Tensor, Tensor]",
    std: Sequence[float] = (1.0,),
) -> "Training":
    """The training of `model` on segments and class numbers that are given, on this machine's CPU."""
    import torch

    from stages.training.augmentation import Augmentation
    from stages.training.batches import Resident
    from stages.training.device import start
    from stages.training.loop import Training
    from stages.training.losses import make_loss

    fabric = start("cpu", 1, recipe.train.precision)
    n_per_class = torch.bincount(train[1], minlength=len(CLASSES))
    loss = make_loss(recipe.loss, n_per_class, fabric.device)
    augmentation = Augmentation(recipe.augment, torch.tensor(std))
    return Training(model, recipe, fabric, Resident(*train), Resident(*valid), loss, augmentation)


def write_params(*overrides: str) -> None:
    """Write ./params.yaml: conf/, made small, with `overrides` on top."""
    here = str(Path.cwd())  # stands in no composition, so that one serves the folders of all tests
    text = composed(*SMALL, *(override.replace(here, "/HERE") for override in overrides))
    Path("params.yaml").write_text(text.replace("/HERE", here), "utf-8")


def edit_params(section: str, **changes: object) -> None:
    """Change keys of a section of ./params.yaml by hand, as a user might, past Hydra's own checks."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    document = yaml.load(Path("params.yaml"))
    document[section].update(changes)
    yaml.dump(document, Path("params.yaml"))


def line_of(stage: Callable[[], None]) -> str:
    """The one line with which a stage refuses."""
    with pytest.raises(EncoreError) as refused:
        stage()
    line = str(refused.value)
    assert line
    assert "\n" not in line
    return line


def start_stage(name: str, folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``python -m stages.NAME`` in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{name}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), "DVC_ROOT": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_stage(
    name: str, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m stages.NAME`` in `folder` to its end."""
    with start_stage(name, folder, *arguments, **environment) as process:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def noise(n_samples: int, seed: int = 0, level: float = 0.3) -> np.ndarray:
    """Music-like noise, float32: falls with frequency, swells and fades."""
    random = np.random.default_rng(seed)
    spectrum = np.fft.rfft(random.standard_normal(n_samples))
    spectrum /= np.sqrt(np.arange(1, len(spectrum) + 1))
    samples = np.fft.irfft(spectrum, n_samples)
    samples *= 1 + 0.8 * np.sin(np.linspace(0, 12, n_samples))
    return (level * samples / np.abs(samples).max()).astype(np.float32)


def tone(n_samples: int, frequency_hz: float, rate_hz: int = RATE_HZ, level: float = 0.4) -> np.ndarray:
    """A sine, float32."""
    return (level * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz)).astype(np.float32)


def write_music(folder: Path, per_class: int = 6, seconds: float = 3.0) -> Path:
    """A folder of 16-bit WAV files, one sub-folder per class; each class has a pitch range of its own."""
    for index, label in enumerate(CLASSES):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            n_samples = round(seconds * RATE_HZ)
            samples = tone(n_samples, 200 * 3**index + 20 * number) + noise(
                n_samples, 10 * index + number, 0.1
            )
            soundfile.write(folder / label / f"{number:02d}.wav", samples, RATE_HZ, subtype="PCM_16")
    return folder


def write_raw(files: dict[str, bytes], labels: Sequence[str] = ()) -> None:
    """./data/raw as fetch leaves it: each file by its path, with its manifest."""
    raw = Path("data/raw")
    rows = []
    for index, (path, content) in enumerate(files.items()):
        (raw / "music" / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / "music" / path).write_bytes(content)
        label = labels[index] if labels else "jazz"
        track = RawTrack(
            track_id=path,
            path=path,
            label=label,
            group="",
            sha256="0" * 64,
            bytes=len(content),
            source="folder",
        )
        rows.append(track)
    write_rows(raw / "tracks.csv", rows, RawTrack)
    about = {"name": "folder", "licence": "none", "citation": "none", "caveat": ""}
    write_document(raw / "source.json", about)


def write_audio(waveforms: dict[str, np.ndarray], rate_hz: int = RATE_HZ, label: str = "jazz") -> None:
    """./data/audio as decode leaves it."""
    audio = Path("data/audio")
    audio.mkdir(parents=True)
    rows = []
    with audio_file.create_audio(audio / "audio.h5", rate_hz) as file:
        for row, (track_id, samples) in enumerate(waveforms.items()):
            full = samples.astype(np.float32) / 32768 if samples.dtype == np.int16 else samples
            digest = hashlib.sha256(full.tobytes()).hexdigest()
            audio_file.append_waveform(file, row, track_id, samples, digest)
            rows.append(AudioTrack(track_id, label, "", track_id, "", len(samples), 1))
    write_rows(audio / "tracks.csv", rows, AudioTrack)


def class_patterns(n_per_class: int, shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Segments of three classes that differ by their pattern over frequency, and their class numbers."""
    patterns = np.random.default_rng(99).standard_normal((len(CLASSES), shape[0], 1))
    label = np.repeat(np.arange(len(CLASSES)), n_per_class)
    x = 3 * patterns[label] + np.random.default_rng(seed).standard_normal((len(label), *shape))
    return x.astype(np.float32), label


def write_arrays(
    path: Path,
    values: dict[str, np.ndarray],
    rows: Sequence[tuple[str, int, str]],
    unit: str = "1",
    variants: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    **settings: object,
) -> None:
    """A features file with these arrays and variants, whose rows are (track_id, segment, label)."""
    track_id, segment, label = zip(*rows, strict=True)
    arrays = {}
    framing = {"n_fft": 512, "hop_length": 256, "window": "hann", "pad_mode": "constant"}
    for name, array in values.items():
        bins = feature_file.Axis(f"{name}_bin", np.arange(array.shape[1], dtype=np.float64))
        time_s = feature_file.Axis("time_s", np.arange(array.shape[2]) / 10)
        arrays[name] = feature_file.Array(array.dtype, unit, bins, time_s, framing | settings)
    table = feature_file.SegmentTable(track_id, segment, [RATE_HZ * number for number in segment], label)
    attributes = {
        "sample_rate_hz": RATE_HZ,
        "segment_length": RATE_HZ,
        **framing,
        "include": list(values),
        "audio_sha256": "0" * 64,
        "made_with": "numpy",
    }
    variants = variants or {}
    file = feature_file.create_features(path, feature_file.Contents(arrays, table, attributes, [*variants]))
    for variant, of_variant in [(None, values), *variants.items()]:
        file.write(0, of_variant, variant)


@contextmanager
def edited_features() -> Iterator[h5py.File]:
    """./data/features/features.h5 to be changed; its checksums are made anew."""
    with h5py.File("data/features/features.h5", "r+") as file:
        yield file
        checks = []
        file["crc32"].visititems(lambda name, item: checks.append(name) if hasattr(item, "shape") else None)
        for name in checks:
            file[f"crc32/{name}"][:] = [zlib.crc32(row) for row in file[name][:]]


def write_features(
    per_side: dict[str, int],
    segments: int = 3,
    shape: tuple[int, int] = (13, 16),
    seed: int = 0,
    unit: str = "1",
    variants: Sequence[str] = (),
) -> None:
    """./data/features, ./data/split and the tables before, with so many tracks of a class on each side."""
    order = [
        (f"{label}/{side}-{number}.wav", label, side)
        for label in CLASSES
        for side, n_tracks in per_side.items()
        for number in range(n_tracks)
    ]
    x, *others = (
        class_patterns(len(order) // len(CLASSES) * segments, shape, seed + 1000 * number)[0]
        for number in range(1 + len(variants))
    )
    of_variants = {name: {"mfcc": other} for name, other in zip(variants, others, strict=True)}
    rows = [(track_id, segment, label) for track_id, label, _ in order for segment in range(segments)]
    Path("data/features").mkdir(parents=True, exist_ok=True)
    write_arrays(Path("data/features/features.h5"), {"mfcc": x}, rows, unit, of_variants)
    write_split([Assignment(track_id, label, track_id, side, -1) for track_id, label, side in order])
    write_tables({track_id: label for track_id, label, _ in order}, segments)


def write_tables(labels: dict[str, str], n_segments: int) -> None:
    """./data/audio/quality.csv and ./data/segments/tracks.csv of tracks that have nothing wrong with them."""
    tracks = [SegmentedTrack(name, label, "", name, "", n_segments) for name, label in labels.items()]
    Path("data/segments").mkdir(parents=True, exist_ok=True)
    write_rows(Path("data/segments/tracks.csv"), tracks, SegmentedTrack)
    Path("data/audio").mkdir(parents=True, exist_ok=True)
    write_rows(Path("data/audio/quality.csv"), [good(name) for name in labels], Quality)


def good(track_id: str) -> Quality:
    """A file that has nothing wrong with it."""
    sound = ("WAV/PCM_16", RATE_HZ, 1, 3.0, 3.0, 0.5, 0.1, 0.0, 0.0, 0.0)
    return Quality(track_id, track_id, "kept", "good", "", "", *sound)


def write_split(rows: Sequence[Assignment]) -> None:
    """./data/split as split leaves it."""
    Path("data/split").mkdir(parents=True, exist_ok=True)
    write_rows(Path("data/split/split.csv"), rows, Assignment)
