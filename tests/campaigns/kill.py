"""Stages that are killed again and again must end with the bytes of an undisturbed run.

``python -m tests.campaigns.kill [--seed N] [--kills N] [--audio FOLDER]``. Over a folder of music, over
the sample, and over so many tracks that processes extract them; then the folder once more under DVC, in the
workspace and as ``dvc exp run --temp``.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random

from ruamel.yaml import YAML

from stages.parallel.ordered import MANY
from tests.campaigns.originals import ENCODINGS, recording, score
from tests.campaigns.scale import write_tracks
from tests.campaigns.workspace import digests, left_after, new_workspace, run, start
from tests.pipeline.project import Project
from tests.synthetic import CLASSES, composed

OUTPUTS = {
    "fetch": "data/raw",
    "decode": "data/audio",
    "segment": "data/segments",
    "extract": "data/features",
}
GONE_S = 20.0  # a process that was starting loads its modules first
Digests = dict[str, dict[str, str]]  # by stage, then by path


class Campaign:
    """Collects the expectations that are not met."""

    def __init__(self, rng: Random, n_kills: int) -> None:
        self.rng = rng
        self.n_kills = n_kills
        self.violations: list[str] = []

    def expect(self, is_met: bool, what: str) -> None:
        if not is_met:
            self.violations.append(what)
            print(f"VIOLATED: {what}", flush=True)

    def compare(self, name: str, scratch: Path, *overrides: str) -> Digests:
        """Run undisturbed in one workspace and killed in another; return what both should contain."""
        print(f"\n{name}")
        calm = new_workspace(scratch / f"{name}-calm", *overrides)
        killed = new_workspace(scratch / f"{name}-killed", *overrides)
        return self.through(calm, killed, *OUTPUTS)

    def many(self, scratch: Path) -> None:
        """Do the same from decoded tracks on."""
        print("\nmany tracks")
        calm, killed = (new_workspace(scratch / f"many-{which}") for which in ("calm", "killed"))
        for folder in (calm, killed):
            write_tracks(folder, 2 * MANY, seconds=3.0, seed=0)
        self.through(calm, killed, "segment", "extract")

    def through(self, calm: Path, killed: Path, *stages: str) -> Digests:
        """Run stages in both workspaces; return what they should write."""
        expected: Digests = {}
        for stage in stages:
            output = OUTPUTS[stage]
            ended = run(stage, calm)
            self.expect(ended.status == 0, f"{stage} ends with {ended.status}: {ended.stderr}")
            expected[stage] = digests(calm / output)
            print(f"{stage} undisturbed: {ended.seconds:.1f} s, {len(expected[stage])} files")
            self.disturb(stage, killed, expected[stage], ended.seconds)
        return expected

    def disturb(self, stage: str, folder: Path, expected: Mapping[str, str], seconds: float) -> None:
        """Kill a stage at random moments and start it again each time; let the last one end."""
        output, n_killed, n_absent = folder / OUTPUTS[stage], 0, 0
        left: list[list[str]] = []
        while n_killed < self.n_kills:
            after_s = self.rng.uniform(0, seconds)
            started = time.monotonic()
            if not self.is_killed(stage, folder, after_s):
                # the work cache makes it faster: later moments would all be too late
                seconds = time.monotonic() - started
            else:
                n_killed += 1
                left.append(end_left(folder))
            n_absent += not output.exists()
            if output.exists() and (there := digests(output)) != whole_outputs(output, expected):
                lacking, other = sorted(expected.keys() - there), sorted(there.items() - expected.items())
                what = f"{len(lacking)} of {len(expected)} files are missing, {len(other)} differ"
                self.expect(False, f"each output in {OUTPUTS[stage]} is whole: {what}, after {after_s:.2f} s")
                shutil.rmtree(output)
        surviving = [commands for commands in left if commands]
        self.expect(
            not surviving,
            f"processes of {stage} survived it by {GONE_S:g} s after {len(surviving)} of {n_killed} kills, "
            f"such as {surviving[-1:]}",
        )
        done = len(list(folder.glob(".encore/entries/*/*.npz")))
        ended = run(stage, folder)
        self.expect(ended.status == 0, f"{stage} ends with {ended.status}: {ended.stderr}")
        self.expect(digests(output) == expected, f"{stage} writes the same bytes")
        strays = [path.name for path in output.parent.glob(".*")]
        self.expect(not strays, f"{stage} leaves nothing unfinished: {strays}")
        print(
            f"{stage} killed {n_killed} times: output absent {n_absent} times; last run {ended.seconds:.1f} s"
            f" with {done} entries in the work cache"
        )

    def is_killed(self, stage: str, folder: Path, after_s: float) -> bool:
        """Start a stage and kill its own process; false if it ended before."""
        process = start(stage, folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(after_s)
            self.expect(status == 0, f"{stage}, started anew, ends with {status}")
            return False
        process.kill()
        process.wait()
        return True

    def under_dvc(self, scratch: Path, music: Path, expected: Digests, *overrides: str) -> None:
        """`dvc repro` in a clone of the project and `dvc exp run --temp` in another."""
        print("\nDVC")
        plain, temporary = (Project(scratch / name, music) for name in ("plain", "temporary"))
        (plain.folder / "params.yaml").write_text(composed(*overrides), "utf-8")
        plain.dvc("repro", "extract")
        for stage, output in OUTPUTS.items():
            self.expect(
                digests(plain.folder / output) == expected[stage], f"dvc repro {stage}: the same bytes"
            )
        settings = [word for override in overrides for word in ("-S", override)]
        temporary.dvc("exp", "run", "--temp", *settings, "extract")
        references = temporary.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
        experiment = next(name for name in references if not name.startswith("refs/exps/exec/"))
        hashes = _hashes((plain.folder / "dvc.lock").read_text("utf-8"))
        of_experiment = _hashes(temporary.git("show", f"{experiment}:dvc.lock"))
        folders = {Path(path).parent.as_posix() for path in hashes}
        self.expect(folders == set(OUTPUTS.values()) and hashes == of_experiment, "the same dvc.lock")
        for path, digest in hashes.items():
            print(f"{path}: dvc repro {digest}, dvc exp run --temp {of_experiment.get(path)}")


def whole_outputs(folder: Path, expected: Mapping[str, str]) -> dict[str, str]:
    """What the outputs that are there, files and folders of `folder`, must hold: each is whole or absent."""
    there = {path.name for path in folder.iterdir()}
    return {path: digest for path, digest in expected.items() if path.partition("/")[0] in there}


def end_left(folder: Path) -> list[str]:
    """Kill what a killed stage leaves after some time to end by itself; return the command lines."""
    commands = []
    for pid in left_after(folder, GONE_S):
        with suppress(OSError):  # it has ended
            commands.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip())
            os.kill(pid, signal.SIGKILL)
    return commands


def _hashes(lock: str) -> dict[str, str]:
    """The hash of each output in a dvc.lock."""
    stages = YAML(typ="safe", pure=True).load(lock)["stages"].values()
    return {output["path"]: output["md5"] for stage in stages for output in stage["outs"]}


def write_music(folder: Path, rng: Random) -> None:
    """Short recordings, and scores long enough for several windows."""
    files = [recording(rng, *encoding) for encoding in 3 * ENCODINGS]
    files += [score(rng, n_notes=400) for _ in range(10)]
    for i, (suffix, content) in enumerate(files):
        path = folder / CLASSES[i % 3] / f"{i:02d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--audio", type=Path)
    given = parser.parse_args()
    print(f"seed {given.seed}")
    campaign = Campaign(Random(given.seed), given.kills)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        if given.audio:
            music = given.audio.resolve()
        else:
            music = scratch / "music"
            write_music(music, campaign.rng)
        overrides = ("dataset=folder", f"dataset.path={music}", "render.windows=5")
        expected = campaign.compare("folder", scratch, *overrides)
        campaign.compare("sample", scratch, "dataset=sample", "dataset.tracks_per_class=1")
        campaign.many(scratch)
        campaign.under_dvc(scratch, music, expected, *overrides)
    if campaign.violations:
        sys.exit(f"{len(campaign.violations)} expectations failed")


if __name__ == "__main__":
    main()
