"""Stage decode: what do the tracks sound like, and which can be used? Writes data/audio."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stages.audio import cached
from stages.audio.files import DecodedFiles, decode_files
from stages.audio.params import AudioParams, QualityParams, RenderParams
from stages.core.params import load
from stages.core.runtime import runtime
from stages.core.tables import AudioTrack, Quality, RawTrack, read_rows, write_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.storage import audio_file, cache

MUSIC = Path("data/raw/music")
LISTED = 20  # dropped files that are printed; quality.csv has all of them


def main() -> None:
    """Decode all of data/raw/music; write waveforms, the usable tracks, and a verdict on every file."""
    audio, render, quality = (
        load("audio", AudioParams),
        load("render", RenderParams),
        load("quality", QualityParams),
    )
    settings = cached.DecodeSettings(audio.sample_rate_hz, quality.max_duration_s, render, cached.code())
    found = read_rows(Path("data/raw/tracks.csv"), RawTrack)
    with cache.bounded(runtime().cache_gb) as written:
        files = decode_files(found, MUSIC, settings, quality, written)
        with outputs(Path("data/audio")) as folder:
            save_waveforms(folder / "audio.h5", files, settings)
            write_rows(folder / "tracks.csv", files.tracks, AudioTrack)
            write_rows(folder / "quality.csv", files.quality, Quality)
    for line in summary(files.quality):
        print(line)


def save_waveforms(path: Path, files: DecodedFiles, settings: cached.DecodeSettings) -> None:
    """Write the waveforms of the usable tracks, one after another, to save memory; or where they are."""
    from tqdm import tqdm

    with audio_file.create_audio(path, settings.sample_rate_hz) as file:
        bar = tqdm(files.tracks, "store", unit="track", disable=None)
        for row, track in enumerate(bar):
            audio = files.audio[row]
            samples = cached.waveform(files.paths[row], audio, settings)
            if isinstance(samples, audio_file.StoredMusic):
                audio_file.refer_to_music(file, row, track.track_id, samples, audio.info.digest)
            else:
                audio_file.append_waveform(file, row, track.track_id, samples, audio.info.digest)
            del samples  # before the next one, of perhaps hundreds of megabytes, is read


def summary(rows: Sequence[Quality]) -> list[str]:
    """Return the lines that say how many files were kept and dropped, and why."""
    dropped = [row for row in rows if row.outcome == "dropped"]
    kept = [row for row in rows if row.outcome == "kept"]
    lines = [f"decode: {len(rows)} found = {len(kept)} kept + {len(dropped)} dropped"]
    if dropped:
        lines.append(f"  dropped: {_counts(dropped)}")
    if noted := [row for row in kept if row.verdict != "good"]:
        lines.append(f"  kept, but noted in data/audio/quality.csv: {_counts(noted)}")
    lines += [f"  dropped {row.path}: {row.verdict}: {row.reason}" for row in dropped[:LISTED]]
    if len(dropped) > LISTED:
        lines.append(f"  and {len(dropped) - LISTED} more, see data/audio/quality.csv")
    return lines


def _counts(rows: Sequence[Quality]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in Counter(row.verdict for row in rows).most_common())


if __name__ == "__main__":
    run(main)
