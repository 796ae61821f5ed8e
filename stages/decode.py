"""Stage decode: what do the tracks sound like, and are they sound? Fills data/audio."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from stages.audio import cached
from stages.audio.decode import Rendering, Sound
from stages.audio.params import AudioParams, RenderParams
from stages.audio.quality import Judgement, QualityParams, judge
from stages.core.errors import EncoreError
from stages.core.params import load
from stages.core.runtime import runtime
from stages.core.tables import AudioTrack, Quality, RawTrack, read_rows, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.parallel.processes import Lost, isolated_map
from stages.storage import cache, hdf5

MUSIC = Path("data/raw/music")
TIMEOUT_S = 300.0  # far more than the longest file takes
LISTED = 20  # dropped files that are printed; quality.csv has all of them


def main() -> None:
    """Decode all of data/raw/music; write waveforms, the usable tracks, and a verdict on every file."""
    audio, quality = load("audio", AudioParams), load("quality", QualityParams)
    render = load("render", RenderParams)
    recipe = cached.Recipe(
        audio.sample_rate_hz,
        quality.max_duration_s,
        Rendering(**render.model_dump()),
        cached.code(),
    )
    from tqdm import tqdm

    found = read_rows(Path("data/raw/tracks.csv"), RawTrack)
    with cache.bounded(runtime().cache_gb) as written:
        heard = list(_hear(found, recipe, written))
        judged = judge(found, heard, quality)
        kept = [i for i, judgement in enumerate(judged) if judgement.is_kept]
        rows = [_row(i, found, heard[i].sound, judged[i]) for i in range(len(found))]
        dropped = [row for row in rows if row.outcome == "dropped"]
        if not kept:
            raise EncoreError(
                f"decode: none of {len(found)} files can be used; {dropped[0].path}: {dropped[0].reason}"
            )
        if len(found) != len(kept) + len(dropped):
            raise AssertionError(f"{len(found)} found, but {len(kept)} kept and {len(dropped)} dropped")
        with outputs(Path("data/audio")) as folder:
            tracks: list[AudioTrack] = []
            with hdf5.create_audio(folder / "audio.h5", audio.sample_rate_hz) as file:
                for i in tqdm(kept, "store", unit="track", disable=None):
                    waveform = cached.waveform(MUSIC / found[i].path, heard[i].key, recipe)
                    hdf5.append_waveform(
                        file, len(tracks), found[i].track_id, waveform, heard[i].sound.digest
                    )
                    recording = found[judged[i].recording].track_id
                    tracks.append(_track(found[i], recording, len(waveform), heard[i].sound.n_windows))
                    del waveform  # else the next one, of hundreds of megabytes perhaps, is read beside it
            write_rows(folder / "tracks.csv", tracks, AudioTrack)
            write_rows(folder / "quality.csv", rows, Quality)
    _report(rows)


def _hear(
    found: Sequence[RawTrack], recipe: cached.Recipe, written: Callable[[float], None]
) -> Iterator[cached.Heard]:
    """Every file decoded into the work cache, in processes that a file may kill."""
    hear = functools.partial(cached.hear, recipe=recipe)
    paths = (MUSIC / track.path for track in found)
    for answer in isolated_map(hear, paths, len(found), "decode", TIMEOUT_S):
        heard = cached.unheard(answer.reason) if isinstance(answer, Lost) else answer
        yield heard
        written(heard.sound.duration_s * recipe.sample_rate_hz * 4)  # bytes, at most


def _track(track: RawTrack, recording: str, n_samples: int, n_windows: int) -> AudioTrack:
    return AudioTrack(track.track_id, track.label, track.group, recording, track.split, n_samples, n_windows)


def _row(i: int, found: Sequence[RawTrack], sound: Sound, judgement: Judgement) -> Quality:
    return Quality(
        track_id=found[i].track_id,
        path=found[i].path,
        outcome="kept" if judgement.is_kept else "dropped",
        verdict=judgement.verdict,
        reason="; ".join(finding.reason for finding in judgement.findings),
        same_as=found[judgement.same_as].track_id if judgement.same_as != i else "",
        encoding=sound.encoding,
        sample_rate_hz=sound.sample_rate_hz,
        n_channels=sound.n_channels,
        duration_s=sound.duration_s,
        peak=sound.peak,
        rms=sound.rms,
        clipped=sound.clipped,
        not_finite=sound.not_finite,
        dc_offset=sound.dc_offset,
    )


def _report(rows: Sequence[Quality]) -> None:
    dropped = [row for row in rows if row.outcome == "dropped"]
    kept = [row for row in rows if row.outcome == "kept"]
    print(f"decode: {len(rows)} found = {len(kept)} kept + {len(dropped)} dropped")
    if dropped:
        print(f"  dropped: {_counts(dropped)}")
    if noted := [row for row in kept if row.verdict != "good"]:
        print(f"  kept, but noted in data/audio/quality.csv: {_counts(noted)}")
    for row in dropped[:LISTED]:
        print(f"  dropped {row.path}: {row.verdict}: {row.reason}")
    if len(dropped) > LISTED:
        print(f"  and {len(dropped) - LISTED} more, see data/audio/quality.csv")


def _counts(rows: Sequence[Quality]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in Counter(row.verdict for row in rows).most_common())


if __name__ == "__main__":
    run(main)
