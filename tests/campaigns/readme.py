"""Run every command of the READMEs as it is printed, in a fresh clone: ``make readme``.

Commands are the lines of their code blocks, and inline code that begins like a command or with ``-S``,
unless a part of it is to be filled in. Example paths and addresses are replaced by those of made-up music and
of this machine, Kaggle's download by a made-up one in the work cache, and trainings get fewer epochs.
`LEFT_OUT` says what does not run, and why.
"""

import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from stages.correcting.journal import Journal
from stages.correcting.verdict import AMBIGUOUS, RIGHT, Verdict
from stages.sources.composer.styles import GENRES
from stages.sources.gtzan import ARCHIVE
from tests.kaggle_server import ARTISTS, member
from tests.synthetic import REPO, noise, tone

READMES = [
    "README.md",
    *(f"{folder}/README.md" for folder in ("conf", "data", "models", "stages", "tests")),
]
COMMAND = re.compile(
    r"(encore|dvc|make|python|dask|printf|curl|BENCH_AUDIO=\S+ make|MLFLOW_TRACKING_URI=\S+ mlflow|-S) "
)
TO_FILL_IN = re.compile(r"\b(NAME|FILE|FOLDER|REPOSITORY)\b(?!=)|\bKEY=|…")
LEFT_OUT = {
    "make test": "CI runs it",
    "make quick": "the same",
    "make readme": "it is what runs",
    "make pictures": "it needs runs of three models, and Chromium",
    "make bench": "it takes an hour",
    "make serve": "encore serve does the same",
    "make ui": "it serves until it is stopped; tests/pipeline/test_experiments.py looks at its pages",
    "encore ui": "the same",
    "encore verify": "make verify does the same",
    "encore compare": "it refuses runs that were tested on different tracks, as those before are",
    "make compare": "the same",
    "python -m tests.campaigns.growth": "it takes hours",
    "python -m tests.campaigns.speed": "the same",
    "dvc exp run --no-hydra": "it is a warning",
    "encore run dataset=fma split=published": "it downloads FMA; tests use a local one",
    "dvc exp run -S dataset=fma -S split=published": "the same",
    "dvc exp run -S dataset=fma -S dataset.subset=medium -S dataset.path=/some/fma_medium "
    "-S dataset.metadata_path=/some/fma_metadata": "it needs FMA; tests use a made-up one",
    "encore search model=cnn 'train.learning_rate=tag(log,interval(1e-4,1e-2))' "
    "'model.dropout=interval(0.1,0.6)' --trials 20": "it takes minutes; test_grids.py has a search",
    "encore search model=mlp train.optimizer=adamw,sgd 'model.dropout=interval(0.1,0.6)' "
    "--trials 30 --rungs 3,10,30 --jobs 2": "the same",
    "encore search model=mlp 'model.dropout=interval(0.1,0.6)' --trials 20": "the same",
}
FEWER_EPOCHS = "-S train.epochs=3"
GRID = "encore grid"
TRAINS = ("dvc exp run ", "encore run ")
BACKGROUND = (  # they serve the commands that follow
    "dask scheduler",
    "encore serve",
    "python -m stages.worker",
    "MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve",
)
START_S = 15  # until they serve
ADDRESS, LOCAL = "10.0.0.5", "127.0.0.1"
LONGEST_S = 900
N_LINES = 15  # of a failed command's output that are shown
RATE_HZ = 22_050


class Ended(NamedTuple):
    """How a command ended."""

    command: str
    seconds: float
    status: int
    output: str


def commands(text: str) -> list[str]:
    """Return the commands of a Markdown text in their order, each once, without those to be filled in."""
    found = []
    text = re.sub(r"^```\w+\n.*?^```\n", "", text, flags=re.MULTILINE | re.DOTALL)
    for block, inline in re.findall(r"^```\n(.*?)^```|(?<!`)`([^`\n]+)`", text, re.MULTILINE | re.DOTALL):
        lines = [
            line.split("  #")[0].split("    #")[0].strip() for line in block.replace("\\\n", "").splitlines()
        ]
        found += [line for line in (*lines, inline) if COMMAND.match(f"{line} ")]
    return list(dict.fromkeys(command for command in found if not TO_FILL_IN.search(command)))


def doubles(folder: Path) -> dict[str, str]:
    """Make what the READMEs' example paths stand for; return the real path of each."""
    music = folder / "music"
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        for index, label in enumerate(("blues", "jazz", "rock")):
            for number in range(10):
                path = f"{label}/artist-{number % 5}/{number:02d}.wav"
                (music / path).parent.mkdir(parents=True, exist_ok=True)
                n_samples = 7 * RATE_HZ
                samples = tone(n_samples, 200 * 3**index + 20 * number, RATE_HZ)
                samples += noise(n_samples, 10 * index + number, 0.1)
                soundfile.write(music / path, samples, RATE_HZ, subtype="PCM_16")
                table.writerow([path, label])
    write_split(folder / "split.csv")
    write_gtzan(folder / "archive.zip")
    write_encoder(folder / "mert.onnx")
    made = ("music", "labels.csv", "split.csv", "archive.zip", "mert.onnx")
    to_be_made = ("remote", "genres", "genres.csv", "model.onnx")
    return {f"/some/{name}": str(folder / name) for name in (*made, *to_be_made)}


def write_split(path: Path) -> None:
    """Write a split of the sample: of the 15 tracks of a genre, three are valid, three test."""
    rows = [
        f"{genre}.{number:05d},{('train', 'train', 'train', 'valid', 'test')[number % 5]}"
        for genre in GENRES
        for number in range(15)
    ]
    path.write_text("\n".join(["track_id,split", *rows, ""]), "utf-8")


def write_gtzan(path: Path) -> None:
    """Write an archive with Kaggle's layout: noise of three seconds under the names of all clips."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed, line in enumerate(ARTISTS.read_text("utf-8").splitlines()[1:]):
            wav = BytesIO()
            samples = np.random.default_rng(seed).standard_normal(3 * RATE_HZ + 1) / 8
            soundfile.write(wav, samples, RATE_HZ, subtype="PCM_16", format="WAV")
            archive.writestr(member(line.split(",")[0]), wav.getvalue())


def write_verdicts(folder: Path) -> None:
    """Write what two reviewers say about the sample's labels; the second one differs in a track."""
    for reviewer, differing in (("anna", "rock"), ("bob", "")):
        journal = Journal.of(reviewer, folder)
        for genre in GENRES:
            for number in range(15):
                is_ambiguous = genre == differing and number == 0
                verdict, label = (AMBIGUOUS, "") if is_ambiguous else (RIGHT, genre)
                journal.append(
                    Verdict(
                        time="2026-11-29T05:36:48Z",
                        track_id=f"{genre}.{number:05d}",
                        path=f"{genre}/{genre}.{number:05d}.wav",
                        sha256="",
                        verdict=verdict,
                        label=label,
                        was=genre,
                        predicted="",
                        model="",
                        reviewer=reviewer,
                    )
                )


def write_encoder(path: Path) -> None:
    """Write a network with MERT's input and output: embeddings of 768 values, each 320 samples at 24 kHz."""
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = torch.nn.Conv1d(1, 768, 400, 320)

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            frames: torch.Tensor = self.network(waveform.unsqueeze(1)).transpose(1, 2)
            return frames

    three_seconds = torch.zeros(1, 3 * 24_000)
    torch.onnx.export(Encoder().eval(), (three_seconds,), path, dynamo=True, external_data=False)


class Clone:
    """A fresh clone of the last commit, with the environment of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", str(REPO), str(folder)], check=True)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        write_verdicts(folder / "data/verdicts")
        subprocess.run(["git", "add", "data/verdicts"], cwd=folder, check=True)
        (folder / ".encore/downloads").mkdir(parents=True)
        (folder / ".encore/downloads" / ARCHIVE).symlink_to(folder.parent / "archive.zip")
        self._serving: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> Ended:
        """Run a command as someone would who has activated the environment.

        Its own script would activate that of this checkout, where `encore` works in this checkout.
        """
        started = time.monotonic()
        shell = ["bash", "-c", f'PATH="$PWD/.venv/bin:$PATH"; {command}']
        if command.startswith(BACKGROUND):
            server = subprocess.Popen(
                shell,
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # the shell and what it starts are stopped together
            )
            self._serving.append(server)
            time.sleep(START_S)
            return Ended(command, time.monotonic() - started, server.poll() or 0, "")
        done = subprocess.run(
            shell,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        return Ended(command, time.monotonic() - started, done.returncode, done.stdout)

    def finish_queue(self) -> Ended:
        """Wait for the queued experiments; fail if one of them did."""
        while True:
            ended = self.run("dvc queue status")
            if not re.search(r"Queued|Running", ended.output):
                return ended._replace(status=ended.output.count("Failed"))
            time.sleep(5)

    def stop(self) -> None:
        """Stop what serves in the background."""
        for server in self._serving:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def as_run(command: str, paths: dict[str, str]) -> str:
    """Return a command with doubles for its paths and address, and with fewer epochs if it trains."""
    for path, real in paths.items():
        command = command.replace(path, real)
    command = command.replace(ADDRESS, LOCAL)
    if command.startswith("-S"):
        command = f"dvc exp run {command}"
    if command.startswith(f"{GRID} model="):
        return f"{command} {FEWER_EPOCHS.removeprefix('-S ')}"
    return f"{command} {FEWER_EPOCHS}" if command.startswith(TRAINS) else command


def main() -> int:
    """Run all of them; print a line for each; return how many failed."""
    n_failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        paths = doubles(Path(scratch))
        clone = Clone(Path(scratch, "encore"))
        try:
            text = "\n".join((REPO / path).read_text("utf-8") for path in READMES)
            for command in commands(text):
                if command in LEFT_OUT:
                    print(f"left out        {command}: {LEFT_OUT[command]}", flush=True)
                    continue
                ended = clone.run(as_run(command, paths))
                if command.startswith("dvc queue start"):
                    ended = clone.finish_queue()
                n_failed += ended.status != 0
                print(f"{'FAILED' if ended.status else 'ok':6} {ended.seconds:6.0f} s  {command}", flush=True)
                if ended.status:
                    print("\n".join(f"    {line}" for line in ended.output.splitlines()[-N_LINES:]))
        finally:
            clone.stop()
    return n_failed


if __name__ == "__main__":
    n_failed = main()
    sys.exit(f"{n_failed} commands failed" if n_failed else 0)
