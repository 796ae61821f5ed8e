"""Edit music and parameters between runs: each must end with the bytes of a run that begins with nothing.

``python -m tests.campaigns.incremental [--seed N] [--examples N] [--steps N] [--until STAGE]``. A Hypothesis
state machine adds, replaces, duplicates, renames, moves, relabels and deletes files, changes keys of
params.yaml, and loses entries of the work cache. A failure is printed as the shortest such story that
Hypothesis finds. tests/unit/test_incremental.py runs some short stories.
"""

import argparse
import contextlib
import csv
import functools
import importlib
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from operator import getitem
from pathlib import Path
from random import Random
from typing import Any, ClassVar, NamedTuple
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from ruamel.yaml import YAML

from stages.core.errors import EncoreError
from stages.core.params import flat
from stages.entry.registry import check_params
from stages.parallel.processes import prepare
from tests.campaigns.originals import File, encoded, score
from tests.campaigns.workspace import digests
from tests.synthetic import CLASSES, RATE_HZ, REPO, SMALL, composed_sections, noise, tone

STAGES: Mapping[str, Any] = YAML(typ="safe", pure=True).load(REPO / "dvc.yaml")["stages"]
ORDER = ("fetch", "decode", "segment", "split", "extract", "baseline", "train", "pictures", "evaluate")
RUNS = ("", "dvc repro", "by hand")  # what follows an edit; nothing: another edit does
SETTINGS = settings(
    database=None,  # a failing story is printed in full, and its seed repeats it
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[*HealthCheck],
)
BEGINNING = (
    *SMALL,
    "dataset=folder",
    "dataset.path=/HERE/music",
    "render.window_s=1.5",
    "quality.min_duration_s=0.5",
    "segment.length_s=0.5",
    "features.mel.n_mels=16",
    "model.hidden=[8]",
    "train.epochs=2",
)
_UNWATCHED = {"unknown_classes": [], "watch": "conf/split/any.yaml"}
_SHARES = {"valid": 0.25, "test": 0.25, "seed": 0, **_UNWATCHED}
_FOLDS = {"name": "kfold", "k": 3, "fold": 0, "seed": 0, **_UNWATCHED}
_FILE = {"name": "file", "path": "/HERE/split.csv", "unknown_classes": [], "watch": "/HERE/split.csv"}
VALUES: Mapping[str, Sequence[Any]] = {
    "dataset.labels": [None, "/HERE/labels.csv"],
    "dataset.group_pattern": [None, r"(?P<artist>[a-z])\d"],
    "dataset.classes": [None, ["jazz", "rock"]],
    "dataset.tracks_per_class": [None, 4],
    "dataset.fraction": [1.0, 0.8],
    "dataset.seed": [0, 1],
    "audio.sample_rate_hz": [RATE_HZ, 11025],
    "render.window_s": [1.5, 0.7],
    "render.windows": [1, 2],
    "render.control": [False, True],
    "quality.min_duration_s": [0.5, 1.18],
    "quality.max_duration_s": [3600.0, 1.8],
    "quality.silence_db": [-80.0, -15.0],
    "quality.max_clipped": [0.01, 0.5],
    "quality.on_silent": ["drop", "keep"],
    "quality.on_not_finite": ["drop", "keep"],
    "quality.on_clipped": ["keep", "drop"],
    "quality.on_mislabelled": ["keep", "drop"],
    "quality.on_duplicate": ["group", "drop", "keep"],
    "quality.on_near_duplicate": ["group", "drop", "keep"],
    "segment.length_s": [0.5, 0.35, 1.0],
    "segment.max_per_track": [None, 1, 2],
    "segment.tail": [0.05, 0.0, 0.6],
    "split": [
        {"name": "stratified", **_SHARES},
        {"name": "stratified", **_SHARES, "seed": 1},
        {"name": "stratified", **_SHARES, "unknown_classes": ["blues"]},
        {"name": "grouped", **_SHARES},
        _FOLDS,
        {**_FOLDS, "fold": 1},
        _FILE,
    ],
    "features.n_fft": [512, 400],
    "features.hop_length": [256, 200],
    "features.window": ["hann", "boxcar"],
    "features.pad_mode": ["constant", "reflect"],
    "features.dtype": ["float32", "float16"],
    "features.compression": ["none", "gzip"],
    "features.include": [["mfcc", "mel"], ["mel", "mfcc"], ["mfcc", "mel", "rms", "mel_levels"]],
    "features.variants.pitch_shift": [[], [2.0]],
    "features.variants.time_stretch": [[], [1.25]],
    "features.mfcc.n_mfcc": [13, 8],
    "features.mfcc.deltas": [0, 1],
    "features.mel.framing": [None, {"n_fft": 256}],
    "features.mel.top_db": [80.0, 30.0],
    "features.mel.n_mels": [16, 20],
    "baseline.features": [["mfcc"], ["mel"], ["mfcc", "mel"]],
    "baseline.C": [1.0, 0.1],
    "model.feature": ["mfcc", "mel"],
    "model.hidden": [[8], [4, 4]],
    "train.seed": [0, 1],
    "train.epochs": [2, 1, 3],
    "train.scaler": ["bins", "none"],
    "train.variants": [True, False],
    "loss.class_weights": ["none", "balanced"],
    "augment.noise": [None, 0.1],
    "runtime.workers": [1, 2],
    "runtime.memory_gb": [4.0, 0.0],
    "runtime.cache_gb": [30.0, 0.0001, 0.0],
}


class Project:
    """A folder in which stages run.

    Attributes
    ----------
    folder : Path
    n : Counter
        How often each stage ran, was passed over, and refused, in all projects.
    """

    n: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: dict[str, Any] = {}
        folder.mkdir()

    def run(self, stages: Sequence[str], text: str, by_dvc: bool = False) -> tuple[str, str]:
        """Run `stages` under a params.yaml with `text`, until one refuses; return its name and its line.

        As DVC does it, a stage is passed over if all that dvc.yaml names for it is as it was, and else its
        outputs are removed first. By hand, all stages run over the outputs that they find.
        """
        sections = json.loads(text)
        (self.folder / "params.yaml").write_text(text, "utf-8")
        with self._inside():
            for stage in stages:
                if by_dvc and self._lock.get(stage) == _named(stage, sections):
                    self.n[stage, "passed over"] += 1
                    continue
                if by_dvc:
                    for path in _outputs(stage):
                        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                try:
                    check_params()
                    importlib.import_module(f"stages.{stage}").main()
                except EncoreError as refusal:
                    self.n[stage, "refused"] += 1
                    return stage, str(refusal)
                self.n[stage, "run"] += 1
                if by_dvc:
                    self._lock[stage] = _named(stage, sections)
        return "", ""

    def outputs(self, stage: str) -> dict[str, str]:
        """Return the digest of all files where the outputs of `stage` are."""
        return digests(self.folder / _outputs(stage)[0].parent)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        root = mock.patch.dict(os.environ, DVC_ROOT=str(self.folder))
        with contextlib.chdir(self.folder), root, contextlib.redirect_stdout(io.StringIO()):
            yield


def _named(stage: str, sections: Mapping[str, Any]) -> Any:
    """Return what dvc.yaml names for a stage, but for code: sections, files, folders, and its outputs."""
    about = STAGES[stage]
    values = flat(sections)
    given = [re.sub(r"\$\{(.*)\}", lambda key: values[key[1]], path) for path in about["deps"]]
    files = {
        str(path): digests(path) if path.is_dir() else path.read_bytes()
        for path in (*map(Path, given), *_outputs(stage))
        if path.exists()
    }
    return deepcopy({section: sections[section] for section in about["params"]}), files


def _outputs(stage: str) -> list[Path]:
    named = STAGES[stage]["outs"] + STAGES[stage].get("metrics", [])
    return [Path(*out) if isinstance(out, dict) else Path(out) for out in named]


class Sound(NamedTuple):
    """What a file holds; recordings of one number are copies of one another, or nearly."""

    kind: str
    number: int


# How a file is named, what it holds of a recording, and how it is encoded.
RECORDINGS: Mapping[str, tuple[str, Callable[[np.ndarray], np.ndarray], str, str]] = {
    "plain": (".wav", lambda x: x, "WAV", "PCM_16"),
    "flac": (".flac", lambda x: x, "FLAC", "PCM_16"),
    "ogg": (".ogg", lambda x: x, "OGG", "VORBIS"),
    "quiet": (".wav", lambda x: x / 3, "WAV", "PCM_16"),
    "stereo": (".wav", lambda x: np.stack([x, x[::-1]], axis=1), "WAV", "FLOAT"),
    "clipped": (".wav", lambda x: np.clip(9 * x, -1, 1), "WAV", "PCM_16"),
    "not finite": (".wav", lambda x: np.where(x > 0.3, np.nan, x), "WAV", "FLOAT"),
    "short": (".wav", lambda x: x[: RATE_HZ // 3], "WAV", "PCM_16"),
    "silent": (".wav", lambda x: 0 * x, "WAV", "PCM_16"),
}


@functools.cache
def file_of(sound: Sound) -> File:
    """Make a file of a second or two."""
    if sound.kind == "text":
        return File(".mp3", f"no music, {sound.number} times".encode())
    if sound.kind == "score":
        return score(Random(sound.number), n_notes=4)
    suffix, change, container, subtype = RECORDINGS[sound.kind]
    n_samples = round((1.1 + 0.05 * sound.number) * RATE_HZ)
    samples = tone(n_samples, 200 + 37 * sound.number) + noise(n_samples, sound.number, 0.1)
    return File(suffix, encoded(change(samples), RATE_HZ, container, subtype))


sounds = st.builds(Sound, st.sampled_from([*RECORDINGS, "score", "text"]), st.integers(0, 14))
labels = st.sampled_from([*CLASSES, ""])
names = st.builds("{}{}".format, st.sampled_from("abcdef"), st.integers(0, 3))  # artist and number
positions = st.integers(0, 99)


def changes_of(*sections: str) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Choose up to four keys of these sections, and a value for each."""
    values = {key: given for key, given in VALUES.items() if key.partition(".")[0] in sections}
    one = st.sampled_from([*values]).flatmap(
        lambda key: st.tuples(st.just(key), st.sampled_from(values[key]))
    )
    return st.lists(one, min_size=1, max_size=4)


def edit(**strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a method a rule: it changes something, and then there is a run, or another edit first."""

    def decorate(method: Callable[..., None]) -> Any:
        @functools.wraps(method)
        def edit_and_run(self: "Editing", then: str, **values: Any) -> None:
            method(self, **values)
            if then:
                self.compare(by_dvc=then == "dvc repro")

        return rule(**strategies, then=st.sampled_from(RUNS))(edit_and_run)

    return decorate


class Editing(RuleBasedStateMachine):
    """Music and parameters that change, and a project that runs again and again."""

    stages: Sequence[str] = ORDER[:-2]  # without those that draw, which takes seconds

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.music = self.folder / "music"
        self.project = Project(self.folder / "project")
        self.sections = deepcopy(composed_sections(*BEGINNING))
        self.sections["dataset"]["labels"] = None
        self.sections["split"] = VALUES["split"][0]
        self.given_labels: dict[str, str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        """Five tracks of each class, their labels and split as tables, and a first run."""
        for i, label in enumerate(5 * CLASSES):
            file = file_of(Sound(("plain", "flac", "ogg", "quiet", "stereo")[i // 3], i))
            self._write(label, f"{'abcdef'[i % 5]}{i // 5}{file.suffix}", file.content)
        self._write_labels()
        self._write_split(0)
        assert self.project.run(self.stages, self._params(), by_dvc=True) == ("", "")

    @edit(sound=sounds, label=labels, name=names)
    def add(self, sound: Sound, label: str, name: str) -> None:
        file = file_of(sound)
        self._write(label, name + file.suffix, file.content)

    @edit(which=positions, sound=sounds)
    def replace(self, which: int, sound: Sound) -> None:
        if path := self._pick(which):
            path.write_bytes(file_of(sound).content)

    @edit(which=positions, label=labels, name=names)
    def duplicate(self, which: int, label: str, name: str) -> None:
        if path := self._pick(which):
            self._write(label, name + path.suffix, path.read_bytes())

    @edit(which=positions, name=names)
    def rename(self, which: int, name: str) -> None:
        if path := self._pick(which):
            path.rename(path.with_name(name + path.suffix))

    @edit(which=positions, label=labels)
    def move(self, which: int, label: str) -> None:
        if path := self._pick(which):
            path.rename(self.music / label / path.name)

    @edit(which=positions)
    def delete(self, which: int) -> None:
        if path := self._pick(which):
            path.unlink()

    @edit(which=positions, label=labels)
    def relabel(self, which: int, label: str) -> None:
        if path := self._pick(which):
            self.given_labels[self._name(path)] = label
            self._write_labels()

    @edit(number=st.integers(0, 3))
    def deal(self, number: int) -> None:
        self._write_split(number)

    @edit(changes=changes_of("dataset", "split"))
    def choose_tracks(self, changes: list[tuple[str, Any]]) -> None:
        self._set_keys(changes)

    @edit(changes=changes_of("audio", "render", "quality"))
    def decode_otherwise(self, changes: list[tuple[str, Any]]) -> None:
        self._set_keys(changes)

    @edit(changes=changes_of("segment", "features"))
    def extract_otherwise(self, changes: list[tuple[str, Any]]) -> None:
        self._set_keys(changes)

    @edit(changes=changes_of("baseline", "model", "train", "loss", "augment"))
    def train_otherwise(self, changes: list[tuple[str, Any]]) -> None:
        self._set_keys(changes)

    @edit(changes=changes_of("runtime"))
    def change_the_machine(self, changes: list[tuple[str, Any]]) -> None:
        self._set_keys(changes)

    @edit(part=st.integers(1, 3))
    def lose_entries(self, part: int) -> None:
        """Lose all entries of the work cache, every second or every third."""
        for entry in sorted(self.project.folder.glob(".encore/entries/*/*"))[::part]:
            entry.unlink()

    def compare(self, by_dvc: bool) -> None:
        """Run what is there, and a new project; outputs and refusals must be the same."""
        before = {stage: self.project.outputs(stage) for stage in self.stages}
        refused, line = self.project.run(self.stages, self._params(), by_dvc)
        anew = Project(self.folder / "anew")
        assert (refused, line) == anew.run(self.stages, self._params())
        for stage in self.stages:
            if stage == refused:
                assert self.project.outputs(stage) == ({} if by_dvc else before[stage]), stage
                break
            assert self.project.outputs(stage) == anew.outputs(stage), stage
        shutil.rmtree(anew.folder)

    def _set_keys(self, changes: list[tuple[str, Any]]) -> None:
        for key, value in changes:
            *path, last = key.split(".")
            functools.reduce(getitem, path, self.sections)[last] = value

    def _params(self) -> str:
        dataset = self.sections["dataset"]
        dataset["watch_labels"] = dataset["labels"] or "data/facts/no_verdicts.csv"
        return json.dumps(self.sections).replace("/HERE", str(self.folder))  # JSON is YAML, and parsed faster

    def _pick(self, which: int) -> Path | None:
        paths = self._paths()
        return paths[which % len(paths)] if paths else None

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.music.rglob("*") if path.is_file())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.music).as_posix()

    def _write(self, label: str, name: str, content: bytes) -> None:
        (self.music / label).mkdir(parents=True, exist_ok=True)
        (self.music / label / name).write_bytes(content)

    def _write_labels(self) -> None:
        """Write labels.csv: for every file the label that it was given, or its folder."""
        rows = {name: name.rpartition("/")[0] for name in map(self._name, self._paths())} | self.given_labels
        _write_csv(self.folder / "labels.csv", ("path", "label"), rows)

    def _write_split(self, number: int) -> None:
        """Write split.csv: every file's split, drawn by `number`."""
        drawn = Random(number)
        rows = {self._name(path): drawn.choice(("train", "train", "valid", "test")) for path in self._paths()}
        _write_csv(self.folder / "split.csv", ("track_id", "split"), rows)


def _write_csv(path: Path, header: tuple[str, str], rows: Mapping[str, str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--until", choices=ORDER, default=Editing.stages[-1])
    given = parser.parse_args()
    Editing.stages = ORDER[: ORDER.index(given.until) + 1]
    started = time.monotonic()
    print(f"seed {given.seed}, {given.examples} stories of up to {given.steps} steps, until {given.until}")
    run_state_machine_as_test(
        seed(given.seed)(Editing),
        settings=settings(SETTINGS, max_examples=given.examples, stateful_step_count=given.steps),
    )
    for stage in Editing.stages:
        n = [f"{what} {Project.n[stage, what]} times" for what in ("run", "passed over", "refused")]
        print(f"{stage}: {', '.join(n)}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    prepare(["stages.audio.cached", "scipy.fft", "soxr"])
    main()
