"""What runs again and what does not, on the real DVC."""

import csv
import json
import re
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import soundfile
from dvc.repo import Repo

from tests.pipeline.project import UNTRACKED, Project, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ALL = ["fetch", "decode", "segment", "split", "extract", "pictures", "baseline", "train", "evaluate"]


def test_nothing_runs_twice(project: Project) -> None:
    output = project.dvc("repro")
    assert stages_run(output) == []
    assert "up to date" in output


def test_metrics_have_the_promised_names(project: Project) -> None:
    metrics = json.loads((project.folder / "data/evaluation/metrics.json").read_text())
    ends = ("", "_ci95_low", "_ci95_high")
    names = {f"{name}{end}" for name in ("accuracy", "macro_f1", "balanced_accuracy") for end in ends}
    for scores in (metrics["test"]["track"], metrics["test"]["segment"], metrics["baseline"]["track"]):
        assert set(scores) == names
        assert scores["accuracy_ci95_low"] <= scores["accuracy"] <= scores["accuracy_ci95_high"]


def test_every_test_track_is_scored(project: Project) -> None:
    with (project.folder / "data/split/split.csv").open() as file:
        wanted = {row["track_id"] for row in csv.DictReader(file) if row["split"] == "test"}
    with (project.folder / "data/evaluation/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = ["track_id", "unit", "label", "predicted", "baseline"]
    assert list(rows[0]) == [*columns, "high", "low", "noise"]
    assert {row["track_id"] for row in rows} == wanted
    for row in rows:
        assert sum(float(row[label]) for label in ("high", "low", "noise")) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("key", "before", "after", "wanted"),
    [
        ("dataset.classes", "classes: null", "classes: [low, high]", {"fetch"}),
        ("audio.sample_rate_hz", "sample_rate_hz: 22050", "sample_rate_hz: 16000", {"decode"}),
        ("render.windows", "windows: 1", "windows: 2", {"decode", "train"}),
        ("segment.tail", "tail: 0.05", "tail: 0.5", {"segment"}),
        ("split.seed", "test: 0.2\n  seed: 0", "test: 0.2\n  seed: 1", {"split", "evaluate"}),
        ("features.n_fft", "n_fft: 2048", "n_fft: 1024", {"extract", "pictures"}),
        (
            "pictures.duration_s",
            "tracks: []\n  duration_s: 1.0",
            "tracks: []\n  duration_s: 2.0",
            {"pictures"},
        ),
        ("baseline.C", "C: 1.0", "C: 2.0", {"baseline"}),
        ("model.dropout", "dropout: 0.3", "dropout: 0.4", {"train"}),
        ("train.epochs", "epochs: 2", "epochs: 4", {"train"}),
        (
            "evaluate.seed",
            "evaluate:\n  bootstrap_samples: 100",
            "evaluate:\n  bootstrap_samples: 200",
            {"evaluate"},
        ),
        ("schedule.warmup_epochs", "warmup_epochs: 0.0", "warmup_epochs: 1.0", {"train"}),
        ("loss.label_smoothing", "label_smoothing: 0.0", "label_smoothing: 0.1", {"train"}),
        ("augment.mixup", "mixup: 0.3", "mixup: 0.2", {"train"}),
        ("runtime.memory_gb", "memory_gb: 4.0", "memory_gb: 0.0", set()),
        ("runtime.workers", "workers: 0", "workers: 1", set()),
        ("runtime.device", "device: cpu", "device: auto", set()),
    ],
)
def test_a_parameter_changes_its_own_stage_alone(
    project: Project, key: str, before: str, after: str, wanted: set[str]
) -> None:
    params = project.folder / "params.yaml"
    text = params.read_text()
    assert text.count(before) == 1
    params.write_text(text.replace(before, after))
    changed = set(project.status())
    params.write_text(text)
    assert changed == wanted, key


def test_each_stage_feeds_those_that_need_it_and_no_other(project: Project) -> None:
    arrows = re.findall(r'"(\w+)" -> "(\w+)"', project.dvc("dag", "--dot"))
    fed = {stage: {after for before, after in arrows if before == stage} for stage in ALL}
    assert fed == {
        "fetch": {
            "decode",
            "extract",
            "pictures",
            "evaluate",
        },  # audio.h5 refers to music, the card names its source,
        "decode": {"segment", "extract", "pictures", "evaluate"},  # what became of every file,
        "segment": {"split", "extract", "evaluate"},  # and the groups
        "split": {"baseline", "train", "evaluate"},
        "extract": {"baseline", "train", "evaluate"},
        "pictures": {"evaluate"},
        "baseline": {"evaluate"},
        "train": {"evaluate"},
        "evaluate": set(),
    }


def test_a_preset_brings_its_segments_and_recipe_and_decodes_nothing(project: Project) -> None:
    ran = project.experiment("+experiment=notebook_mlp", "segment.length_s=3.0", "train.epochs=2", UNTRACKED)
    assert sorted(ran) == sorted(set(ALL) - {"fetch", "decode"})
    described = json.loads((project.folder / "data/model/model.json").read_text())
    assert described["kwargs"]["input_shape"] == [13, 130]
    assert described["recipe"]["train"]["learning_rate"] == 0.0001
    assert (described["recipe"]["train"]["keep"], described["kept_epoch"]) == ("last", 2)
    project.reset()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("stages/splitting/schemes.py", {"split", "baseline", "train", "evaluate"}),
        ("stages/storage/hdf5.py", set(ALL) - {"fetch", "split"}),
        ("stages/storage/cache.py", {"decode", "extract"}),
        ("stages/features/spectra.py", {"extract", "pictures"}),
        ("stages/plots/figures.py", {"pictures", "evaluate"}),
        ("stages/training/loop.py", {"train", "evaluate"}),
        ("models/lstm.py", {"train", "evaluate"}),
        ("stages/sources/folder.py", {"fetch"}),
        ("stages/tracking/client.py", set()),
        ("README.md", set()),
        ("models/README.md", set()),
    ],
)
def test_an_edit_of_code_changes_only_the_stages_that_need_it(
    project: Project, path: str, wanted: set[str]
) -> None:
    file = project.folder / path
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    changed = set(project.status())
    file.write_bytes(before)
    assert changed == wanted


@pytest.mark.parametrize(
    "path",
    [
        "stages/core/__pycache__/errors.cpython-311.pyc",
        "stages/training/.ipynb_checkpoints/loop.py",
        "models/lstm.py~",
        "stages/audio/.decode.py.swp",
    ],
)
def test_files_of_editors_and_interpreters_change_no_stage(project: Project, path: str) -> None:
    beside = project.folder / path
    is_new_folder = not beside.parent.exists()
    beside.parent.mkdir(exist_ok=True)
    before = beside.read_bytes() if beside.exists() else None
    beside.write_bytes(b"another")
    assert project.status() == {}
    if before is not None:
        beside.write_bytes(before)
    elif is_new_folder:
        shutil.rmtree(beside.parent)
    else:
        beside.unlink()


def test_a_new_module_changes_the_stages_of_its_folder(project: Project) -> None:
    new = project.folder / "stages/training/new.py"
    new.touch()
    changed = set(project.status())
    new.unlink()
    assert changed == {"train", "evaluate"}


def test_music_with_the_name_of_an_ignored_file_is_kept(project: Project) -> None:
    with Repo(str(project.folder)) as repo:
        for name in ("soul~/a.wav", "__pycache__/a.wav", "low/b.wav~"):
            path = project.folder / "data/raw/music" / name
            assert not repo.dvcignore.is_ignored_file(str(path)), name
            assert repo.dvcignore.is_ignored_file(str(project.folder / "stages" / name)), name


def test_a_file_added_to_the_folder_is_noticed(project: Project) -> None:
    assert project.status() == {}
    good, bad = project.music / "low" / "new.wav", project.music / "low" / "broken.wav"
    soundfile.write(good, 0.1 * np.random.default_rng(1).standard_normal(22050 * 2), 22050)
    bad.write_bytes(b"this is no audio")
    assert set(project.status()) == {"fetch"}
    output = project.dvc("repro", "decode")
    assert stages_run(output) == ["fetch", "decode"]
    assert {"segment", "extract"} <= set(project.status())
    assert "20 found = 19 kept + 1 dropped" in output
    assert "broken.wav: decode error: " in output
    quality = (project.folder / "data/audio/quality.csv").read_text().splitlines()
    assert len(quality) == 1 + 20
    assert sum(",decode error," in line for line in quality) == 1
    good.unlink()
    bad.unlink()
    project.reset()


def n_runs(project: Project) -> int:
    with closing(sqlite3.connect(project.folder / "mlflow.db")) as store:
        (n,) = store.execute("SELECT count(*) FROM runs").fetchone()
    return n


def test_verify_finds_a_fresh_clone_elsewhere_equal_to_the_byte(project: Project) -> None:
    before = n_runs(project)
    done = project.run("python", "-m", "stages.verify", timeout_s=500)
    assert done.returncode == 0, done.stdout
    assert sorted(stages_run(done.stdout)) == sorted(ALL)
    assert re.search(r"\nall \d+ outputs are as dvc.lock records them\n$", done.stdout)
    assert n_runs(project) == before  # tracking was off there, on here
    assert project.git("status", "--short") == ""


def test_verify_names_what_differs_and_what_may_explain_it(project: Project) -> None:
    """Another version of a package, and other kernels than those that are pinned."""
    for name, before, after in (
        ("requirements.lock", "pebble==5.2.3", "pebble==5.2.2"),
        ("params.yaml", "exact: true", "exact: false"),
    ):
        path = project.folder / name
        path.write_text(path.read_text().replace(before, after))
    commit = project.git("rev-parse", "HEAD").strip()
    project.commit("another package, other kernels")
    done = project.run("python", "-m", "stages.verify", env={"ATEN_CPU_CAPABILITY": "default"}, timeout_s=500)
    project.git("reset", "--quiet", "--hard", commit)
    assert done.returncode == 1
    compared = [line.split() for line in done.stdout.splitlines() if line.endswith((" equal", " DIFFERS"))]
    stages = {stage: {verdict for one, _, verdict in compared if one == stage} for stage in ALL}
    assert all(stages[stage] == {"equal"} for stage in ALL[: ALL.index("train")]), done.stdout
    assert "DIFFERS" in stages["train"]
    assert re.search(r"weight: [\d,]+ of [\d,]+ values differ, by at most \d", done.stdout)
    assert "may explain it: pebble is 5.2.3, and should be ==5.2.2" in done.stdout
    assert "may explain it: ATEN_CPU_CAPABILITY is set to 'default'" in done.stdout
    assert done.stdout.endswith("the first stage that differs is train\n")


def test_verify_quick_names_a_byte_that_has_flipped(project: Project) -> None:
    done = project.run("python", "-m", "stages.verify", "quick")
    assert done.returncode == 0, done.stdout
    features = project.folder / "data/features/features.h5"
    whole = features.read_bytes()
    place = len(whole) // 2
    features.unlink()  # it may be a link to DVC's cache
    features.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    done = project.run("python", "-m", "stages.verify", "quick")
    project.reset()
    assert done.returncode == 1
    assert done.stdout.count("DIFFERS") == 1
    lines = r"extract +data/features/features.h5 +DIFFERS\n +m\w+: 1 of [\d,]+ values differs, by at most "
    assert re.search(lines, done.stdout)
    assert done.stdout.endswith("the first stage that differs is extract\n")


def test_a_mistake_ends_in_one_line_and_leaves_the_output(project: Project) -> None:
    done = project.run("dvc", "exp", "run", "-S", "dataset=folder", "-S", f"dataset.path={project.music}",
                       "-S", "features.hop_length=-5")  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == "ERROR: features.hop_length is -5, should be greater than or equal to 1\n"
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("hop_length: 512", "hop_length: -5"))
    lines = [line for line in project.run("dvc", "repro").stdout.splitlines() if line.startswith("error: ")]
    assert lines == ["error: params.yaml: features.hop_length is -5, should be greater than or equal to 1"]
    project.reset()
