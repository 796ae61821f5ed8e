"""Decode all files of a dataset, and decide which of them are used."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.audio.cached import (
    CachedAudio,
    DecodeSettings,
    Entry,
    decode_cached,
    decode_failed,
    decode_sent,
    entry_of,
    save,
)
from stages.audio.decode import AudioInfo
from stages.audio.params import QualityParams
from stages.audio.quality import Assessment, assess
from stages.core.errors import EncoreError
from stages.core.runtime import runtime
from stages.core.tables import AudioTrack, Quality, RawTrack
from stages.parallel.ordered import ordered_map
from stages.parallel.processes import Lost, isolated_map, prepare

WORKERS_LOAD = ("stages.audio.cached", "scipy.fft", "soundfile", "soxr")
TIMEOUT_S = 300.0  # far more than the longest file takes


@dataclass(frozen=True)
class DecodedFiles:
    """All files of a dataset, decoded and checked.

    Attributes
    ----------
    quality : list of Quality
        What became of each file.
    tracks : list of AudioTrack
        The usable ones.
    audio : list of CachedAudio
        One for each of `tracks`.
    paths : list of Path
        One for each of `tracks`.
    """

    quality: list[Quality]
    tracks: list[AudioTrack]
    audio: list[CachedAudio]
    paths: list[Path]


def decode_files(
    found: Sequence[RawTrack],
    music: Path,
    settings: DecodeSettings,
    params: QualityParams,
    written: Callable[[float], None],
) -> DecodedFiles:
    """Decode every file into the work cache and check it.

    Parameters
    ----------
    found : sequence of RawTrack
    music : Path
        Folder that the tracks' paths are relative to.
    settings : DecodeSettings
    params : QualityParams
    written : callable
        Takes the size of each file in the work cache; see `stages.storage.cache.bounded`.

    Raises
    ------
    EncoreError
        If no file can be used.
    """
    paths = [music / track.path for track in found]
    decoded = _decode_all(paths, settings, written)
    assessments = assess(found, decoded, params)
    rows = [
        _quality_row(track, file.info, assessment, found[assessment.same_as])
        for track, file, assessment in zip(found, decoded, assessments, strict=True)
    ]
    kept = [i for i, assessment in enumerate(assessments) if assessment.is_kept]
    if not kept:
        raise EncoreError(f"decode: none of {len(found)} files can be used; {rows[0].path}: {rows[0].reason}")
    tracks = [_audio_track(found[i], decoded[i].info, found[assessments[i].recording]) for i in kept]
    return DecodedFiles(rows, tracks, [decoded[i] for i in kept], [paths[i] for i in kept])


def _decode_all(
    paths: Sequence[Path], settings: DecodeSettings, written: Callable[[float], None]
) -> list[CachedAudio]:
    if runtime().backend == "local":
        prepare(WORKERS_LOAD)
        answers = _decode_isolated(paths, settings)
    else:
        answers = _decode_on_cluster(paths, settings)
    decoded = []
    for file in answers:
        decoded.append(file)
        written(file.info.duration_s * settings.sample_rate_hz * 4)  # bytes, at most
    return decoded


def _decode_isolated(paths: Sequence[Path], settings: DecodeSettings) -> Iterator[CachedAudio]:
    """Decode the files in processes, since a damaged file may kill or block the one that reads it."""
    decode = functools.partial(decode_cached, settings=settings)
    for answer in isolated_map(decode, paths, len(paths), "decode", TIMEOUT_S):
        yield decode_failed(answer.reason) if isinstance(answer, Lost) else answer


def _decode_on_cluster(paths: Sequence[Path], settings: DecodeSettings) -> Iterator[CachedAudio]:
    """Send the files that the work cache does not have to the workers of a cluster."""
    entries = [entry_of(path, settings) for path in paths]
    missing = [entry for entry in entries if entry.audio is None]
    decode = functools.partial(decode_sent, settings=settings)
    decoded = ordered_map(decode, map(_sent, missing), len(missing), "decode")
    for entry in entries:
        yield entry.audio or save(entry, next(decoded))


def _sent(entry: Entry) -> tuple[str, bytes]:
    content = entry.path.read_bytes()
    if entry.path.stat().st_mtime_ns != entry.modified_ns:
        raise EncoreError(f"{entry.path} has just changed; leave it alone, and run again")
    return entry.path.name, content


def _audio_track(track: RawTrack, info: AudioInfo, recording: RawTrack) -> AudioTrack:
    return AudioTrack(
        track_id=track.track_id,
        label=track.label,
        group=track.group,
        recording=recording.track_id,
        split=track.split,
        n_samples=info.n_samples,
        n_windows=info.n_windows,
    )


def _quality_row(track: RawTrack, info: AudioInfo, assessment: Assessment, same_as: RawTrack) -> Quality:
    return Quality(
        track_id=track.track_id,
        path=track.path,
        outcome="kept" if assessment.is_kept else "dropped",
        verdict=assessment.verdict,
        reason="; ".join(finding.reason for finding in assessment.findings),
        same_as=same_as.track_id if same_as is not track else "",
        encoding=info.encoding,
        sample_rate_hz=info.sample_rate_hz,
        n_channels=info.n_channels,
        duration_s=info.duration_s,
        claimed_s=info.claimed_s,
        peak=info.peak,
        rms=info.rms,
        clipped=info.clipped,
        not_finite=info.not_finite,
        dc_offset=info.dc_offset,
    )
