"""An epoch of training and validation: Encore's loop against a DataLoader over a per-item HDF5 dataset.

Each method runs in separate processes, since they differ in how threads wait. All train the same network
with the same optimiser on the same segments.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import models
from stages import train
from stages.core.tables import Assignment, read_rows
from stages.splitting import examples
from stages.training.model_params import check_model
from tests.synthetic import composed, composed_sections, write_arrays, write_split

# For training; a fifth as many are for validation.
SEGMENTS = {"mlp": 1000, "lstm": 1000, "cnn": 300}
SHAPES = {"mfcc": (13, 130), "mel": (128, 130)}
N_EPOCHS = 2  # the first one is not counted
N_ROUNDS = 2


class PerItem(Dataset):
    """The segments of a split, read one at a time."""

    def __init__(self, feature: str, split: str):
        self.feature, self.file = feature, h5py.File("data/features/features.h5", "r")
        split_of = {row.track_id: row.split for row in read_rows(Path("data/split/split.csv"), Assignment)}
        self.rows = [i for i, name in enumerate(self.file["track_id"].asstr()[:]) if split_of[name] == split]
        x = self.file[feature][self.rows]
        self.mean, self.std = x.mean((0, 2))[:, None], x.std((0, 2))[:, None]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        row = self.rows[i]
        return (self.file[self.feature][row] - self.mean) / self.std, int(self.file["label"][row])


def with_dataloader(name: str) -> None:
    """Print the seconds of each epoch with a DataLoader."""
    chosen = check_model(composed_sections(f"model=bare/{name}")["model"])
    train_set, valid_set = (PerItem(chosen.feature, split) for split in ("train", "valid"))
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    valid_loader = DataLoader(valid_set, batch_size=32)
    torch.manual_seed(0)
    model = getattr(models, chosen.name)(input_shape=train_set[0][0].shape, n_classes=10, **chosen.kwargs)
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=1e-3)
    for _ in range(N_EPOCHS):
        started = time.perf_counter()
        model.train()
        for x, label in train_loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), label).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, label in valid_loader:
                nn.functional.cross_entropy(model(x), label).item()
        print(time.perf_counter() - started)


def with_encore() -> None:
    """Print the seconds of each epoch of the stage train, including its checkpoint."""
    from stages.tracking.client import Tracking

    Tracking.log_epoch = lambda self, row, seconds=None: print(seconds)
    train.main()


def run() -> None:
    """Compare the duration of each model's epochs on random segments."""
    print(f"\nan epoch of training and validation ({N_ROUNDS} rounds, methods in turn)")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["DVC_ROOT"] = folder
        for name, n_segments in SEGMENTS.items():
            write_data(name, n_segments)
            compare(name, n_segments)
        del os.environ["DVC_ROOT"]


def write_data(name: str, n_train: int) -> None:
    """Write features of tracks with ten segments each, their split, and params.yaml."""
    feature = composed_sections(f"model=bare/{name}")["model"]["feature"]
    tracks = [
        ("train" if i < n_train // 10 else "valid", f"{i}", f"{i % 10}") for i in range(n_train * 12 // 100)
    ]
    rows = [(track, number, label) for _, track, label in tracks for number in range(10)]
    random = np.random.default_rng(0)
    values = random.standard_normal((len(rows), *SHAPES[feature]), dtype=np.float32)
    examples.FEATURES.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(examples.FEATURES, {feature: values}, rows)
    write_split([Assignment(track, label, track, split, -1) for split, track, label in tracks])
    settings = (
        f"train.epochs={N_EPOCHS}",
        "train.patience=null",
        "runtime.tracking='off'",
        "runtime.device=cpu",
    )
    Path("params.yaml").write_text(composed(f"model=bare/{name}", *settings), "utf-8")


def compare(name: str, n_segments: int) -> None:
    """Time the methods in turn, and print a line for each."""
    methods = {
        "the loop": "encore",
        "DataLoader over the same file": "dataloader",
    }
    times: dict[str, list[float]] = {method: [] for method in methods}
    for _ in range(N_ROUNDS):
        for method, argument in methods.items():
            times[method].append(_seconds(argument, name))
    for method, each in times.items():
        ratios = [other / mine for mine, other in zip(times["the loop"], each, strict=True)]
        spread = f"({min(each):.3f} to {max(each):.3f})"
        factor = f"{median(ratios):6.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        print(
            f"  {name:<11}{n_segments:>5} segments  {method:<29}{median(each):8.3f} s {spread:<20}{factor}",
            flush=True,
        )


def _seconds(*arguments: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.training", *arguments]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("train:")]
    return median([float(line) for line in lines][1:])


if __name__ == "__main__":
    if sys.argv[1] == "encore":
        with_encore()
    else:
        with_dataloader(sys.argv[2])
