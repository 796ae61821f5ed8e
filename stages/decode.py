"""Stage decode: what do the tracks sound like, and are they sound? Fills data/audio."""

import functools
from pathlib import Path

from pydantic import Field

from stages import store
from stages.audio.decode import Decoded, decode
from stages.errors import EncoreError, run
from stages.params import Params, load
from stages.runtime import ordered_map
from stages.tables import AudioTrack, Quality, RawTrack, read_rows, write_rows
from stages.workspace import new_folder

RAW = Path("data/raw")


class AudioParams(Params):
    """The `audio` section.

    Attributes
    ----------
    sample_rate_hz : int
        Rate that every track is brought to.
    """

    sample_rate_hz: int = Field(ge=2000, le=192000)


def main() -> None:
    """Decode every track of data/raw; write waveforms, the usable tracks, and a verdict on every file."""
    params = load("audio", AudioParams)
    found = read_rows(RAW / "tracks.csv", RawTrack)
    kept: list[AudioTrack] = []
    quality: list[Quality] = []
    decode_track = functools.partial(decode, sample_rate_hz=params.sample_rate_hz)
    decoded = ordered_map(decode_track, (RAW / track.path for track in found), len(found), "decode")
    with new_folder(Path("data/audio")) as folder:
        with store.create_audio(folder / "audio.h5", params.sample_rate_hz) as audio:
            for track, result in zip(found, decoded, strict=True):
                quality.append(_verdict(track, result))
                if result.samples is not None:
                    store.append_waveform(audio, len(kept), track.track_id, result.samples)
                    kept.append(
                        AudioTrack(track.track_id, track.label, track.group, track.split, len(result.samples))
                    )
        dropped = [row for row in quality if row.verdict != "kept"]
        if not kept:
            raise EncoreError(f"decode: none of {len(found)} files can be used; first: {dropped[0].reason}")
        if len(found) != len(kept) + len(dropped):
            raise AssertionError(f"{len(found)} found, but {len(kept)} kept and {len(dropped)} dropped")
        write_rows(folder / "tracks.csv", kept, AudioTrack)
        write_rows(folder / "quality.csv", quality, Quality)
    print(f"decode: {len(found)} found = {len(kept)} kept + {len(dropped)} dropped")
    for row in dropped:
        print(f"  dropped {row.path}: {row.verdict}: {row.reason}")


def _verdict(track: RawTrack, result: Decoded) -> Quality:
    return Quality(
        track_id=track.track_id,
        path=track.path,
        verdict=result.verdict,
        reason=result.reason,
        sample_rate_hz=result.sample_rate_hz,
        n_channels=result.n_channels,
        duration_s=result.duration_s,
        peak=result.peak,
    )


if __name__ == "__main__":
    run(main)
