"""Run damaged files through the real fetch and decode: each must get a verdict, and no process may fail.

``python -m tests.campaigns.fuzz [--seed N] [--files N]``. Inputs and results are read from the tables.
A second, small part adds files that kill the process that reads them, or keep it busy for ever.
"""

import argparse
import contextlib
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np

from stages.audio.decode import decode
from stages.audio.params import RenderParams
from stages.core.tables import AudioTrack, Quality, RawTrack, read_rows
from stages.parallel.processes import Lost, isolated_map
from stages.storage import audio_file
from tests.campaigns.mutations import mutated
from tests.campaigns.originals import originals
from tests.campaigns.workspace import Ended, left_after, new_workspace, peak_mb, run

CLASSES = ("blues", "jazz", "rock", "")  # no class: at the root
NO_MUSIC = ("empty", "image", "text")
LIMIT_MB = 1000.0
SLOW_S = 2.0
GONE_S = 5.0
TIMEOUT_S = 5.0
# What each Python process of a workspace does first; the stage's own process reads no audio.
DYING = f"""
import os, signal, time
from pathlib import Path
import soundfile
import stages.parallel.processes

class Dying(soundfile.SoundFile):
    def __init__(self, file, *args, **kwargs):
        if "crash" in Path(str(file)).name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in Path(str(file)).name:
            time.sleep(3600)
        super().__init__(file, *args, **kwargs)

soundfile.SoundFile = Dying
patient = stages.parallel.processes.isolated_map
stages.parallel.processes.isolated_map = lambda *args: patient(*args[:-1], {TIMEOUT_S})
"""


class Campaign:
    """Collects the expectations that are not met."""

    def __init__(self) -> None:
        self.violations: list[str] = []

    def expect(self, is_met: bool, what: str) -> None:
        if not is_met:
            self.violations.append(what)
            print(f"VIOLATED: {what}", flush=True)

    def run(self, stage: str, folder: Path, hooks: str = "") -> Ended:
        """Run a stage that must end well."""
        ended = run(stage, folder, hooks)
        others = [peak for pid, peak in ended.peaks_mb.items() if pid != ended.pid]
        own = ended.peaks_mb.get(ended.pid, 0.0)
        print(
            f"{stage}: exit status {ended.status} after {ended.seconds:.1f} s; peak memory {own:.0f} MB, "
            f"at most {max(others, default=0.0):.0f} MB in each of the {len(others)} that it started"
        )
        for line, n in Counter(ended.stderr.splitlines()).most_common():
            print(f"  stderr ({n} times): {line}")
        self.expect(ended.status == 0, f"{stage} ends with {ended.status}")
        self.expect("Traceback" not in ended.stderr, f"{stage} ends with a traceback")
        self.expect(max(own, *others, 0.0) < LIMIT_MB, f"{stage} takes over {LIMIT_MB:g} MB")
        self.expect(not left_after(folder, GONE_S), f"{stage} leaves processes behind")
        return ended

    def pipeline(self, scratch: Path, hooks: str = "") -> dict[str, Quality]:
        """Run fetch and decode over scratch/music; return the rows of quality.csv by path."""
        music = scratch / "music"
        folder = new_workspace(scratch / "workspace", "dataset=folder", f"dataset.path={music}")
        self.run("fetch", folder)
        ended = self.run("decode", folder, hooks)
        files = {path.relative_to(music).as_posix() for path in music.rglob("*") if path.is_file()}
        return self.check_tables(folder / "data", files, ended.stdout)

    def check_tables(self, data: Path, files: set[str], printed: str) -> dict[str, Quality]:
        """The tables must account for every file."""
        found = read_rows(data / "raw/tracks.csv", RawTrack)
        rows = read_rows(data / "audio/quality.csv", Quality)
        kept = read_rows(data / "audio/tracks.csv", AudioTrack)
        outcomes = Counter(row.outcome for row in rows)
        self.expect({track.path for track in found} == files, "tracks.csv lists every file")
        is_complete = [row.track_id for row in rows] == [track.track_id for track in found]
        self.expect(is_complete, "quality.csv lists every file")
        self.expect(set(outcomes) <= {"kept", "dropped"}, f"outcomes are kept and dropped: {outcomes}")
        for row in rows:
            is_explained = row.verdict and bool(row.reason) == (row.verdict != "good")
            self.expect(bool(is_explained), f"{row.path} has a verdict and a reason: {row}")
        self.expect(
            [t.track_id for t in kept] == [row.track_id for row in rows if row.outcome == "kept"],
            "data/audio/tracks.csv lists what is kept",
        )
        first, *others = printed.splitlines()
        total = f"decode: {len(found)} found = {outcomes['kept']} kept + {outcomes['dropped']} dropped"
        self.expect(first == total and all(line.startswith("  ") for line in others), f"it prints {total!r}")
        with contextlib.chdir(data.parent), audio_file.open_audio(Path("data/audio/audio.h5")) as file:
            self.expect(len(file["waveform"]) == len(kept), "audio.h5 holds what is kept")
            for row, track in enumerate(kept):
                samples = audio_file.read_waveform(file, row)
                is_sound = len(samples) == track.n_samples > 0 and bool(np.isfinite(samples).all())
                self.expect(is_sound, f"{track.track_id} is finite in audio.h5")
        return {row.path: row for row in rows}


def fuzz(campaign: Campaign, rng: Random, n_files: int, scratch: Path) -> None:
    """Spoilt files in the class folders and beside them, named by what was done to them."""
    for i, (kind, file) in enumerate(mutated(rng, originals(rng), n_files)):
        write(scratch / "music" / rng.choice(CLASSES) / f"{kind}-{i:04d}{file.suffix}", file.content)
    rows = campaign.pipeline(scratch)
    tried = Counter(kind_of(path) for path in rows)
    print(f"{len(rows)} files: {', '.join(f'{n} {kind}' for kind, n in sorted(tried.items()))}")
    print_verdicts(rows)
    kept = [path for path, row in rows.items() if kind_of(path) in NO_MUSIC and row.outcome == "kept"]
    campaign.expect(not kept, f"what holds no music is dropped: {kept}")
    with contextlib.chdir(scratch / "workspace"):
        print_slowest(list(rows))


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def kind_of(path: str) -> str:
    return Path(path).name.rpartition("-")[0]


def print_verdicts(rows: dict[str, Quality]) -> None:
    """How many files got each verdict, by what was done to them; and the reasons, their numbers left out."""
    verdicts = Counter((row.outcome, row.verdict) for row in rows.values())
    for (outcome, verdict), n in verdicts.most_common():
        got = [path for path, row in rows.items() if (row.outcome, row.verdict) == (outcome, verdict)]
        kinds = Counter(kind_of(path) for path in got)
        print(f"{n:4} {outcome} as {verdict}: {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}")
    dropped = [row for row in rows.values() if row.outcome == "dropped"]
    reasons = Counter(re.sub(r"[-\d.]+", "#", row.reason) for row in dropped)
    for reason, n in reasons.most_common():
        print(f"{n:4} {reason}")


def print_slowest(paths: list[str]) -> None:
    """Print the slow files, timed one by one."""
    raw = [Path("data/raw/music", path) for path in paths]
    for path, taken in zip(paths, isolated_map(_taken, raw, len(raw), "timing", 300.0), strict=True):
        if isinstance(taken, Lost):
            print(f"slow: {path}: {taken.reason}")
        elif taken[0] > SLOW_S:
            print(f"slow: {path}: {taken[0]:.1f} s, {taken[1]:.0f} MB")


def _taken(path: Path) -> tuple[float, float]:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries print was seen when the stage ran
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak memory so far
    started = time.perf_counter()
    decode(path, 22050, 3600.0, RenderParams(window_s=30.0, windows=1, control=False))
    return time.perf_counter() - started, peak_mb(os.getpid())


def dying_decoders(campaign: Campaign, rng: Random, scratch: Path) -> None:
    """Files that no decoder survives, between others that are good."""
    files = [file for file in originals(rng) if file.suffix != ".mid"]
    kinds = {2: "crash", 3: "crash", 7: "hang", len(files) - 1: "crash"}
    for i, (suffix, content) in enumerate(files):
        write(scratch / "music" / CLASSES[i % 3] / f"{kinds.get(i, 'good')}-{i:02d}{suffix}", content)
    write(scratch / "hooks/sitecustomize.py", DYING.encode())
    rows = campaign.pipeline(scratch, str(scratch / "hooks"))
    why = {"crash": "kills the process", "hang": f"busy for over {TIMEOUT_S:g} s", "good": ""}
    for path, row in rows.items():
        kind = kind_of(path)
        ending = ("kept", "good") if kind == "good" else ("dropped", "decode error")
        is_right = (row.outcome, row.verdict) == ending and why[kind] in row.reason
        campaign.expect(is_right, f"{path} is {row.outcome} as {row.verdict}: {row.reason}")
        if kind != "good":
            print(f"  {path}: {row.verdict}: {row.reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=600)
    given = parser.parse_args()
    campaign = Campaign()
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory() as scratch:
        fuzz(campaign, Random(given.seed), given.files, Path(scratch).resolve())
    print("\ndecoders that die")
    with tempfile.TemporaryDirectory() as scratch:
        dying_decoders(campaign, Random(given.seed), Path(scratch).resolve())
    if campaign.violations:
        sys.exit(f"{len(campaign.violations)} expectations failed")


if __name__ == "__main__":
    main()
