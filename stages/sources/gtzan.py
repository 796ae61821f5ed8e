"""GTZAN, from Kaggle or from an archive that the user has."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Literal

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack, read_plain_rows
from stages.core.workspace import new_folder, publish, work_cache
from stages.sources import archive, kaggle
from stages.sources.choice import choose
from stages.sources.disk import disk_errors_in_one_line
from stages.sources.params import SourceParams, absolute
from stages.sources.source import Published

DATASET = "andradaolteanu/gtzan-dataset-music-genre-classification"
ARCHIVE = "gtzan-dataset-music-genre-classification.zip"
FAULTS = Path(__file__).parents[2] / "data/facts/gtzan_faults.csv"
UNREADABLE = "unreadable in Kaggle's copy"
VERIFIED = ("replica of", "same recording as", "distorted", UNREADABLE)  # faults that a track's row names

# A clip below whatever folder the archive has it in; AppleDouble's ._* files do not match.
CLIP = re.compile(r"(?:.*/)?(?P<label>[a-z]+)/(?P<track_id>(?P=label)\.[0-9]{5})(?P<suffix>\.wav|\.au)")
N_CLIPS = 1000
MAX_CLIP_BYTES = 64 << 20  # a clip has 1.3 MB; no more is read than a member claims
MAX_BYTES = 8 << 30  # all clips have 1.3 GB

NEEDS = "GTZAN takes about 4 GB (its archive in .encore, its clips in data/raw and in DVC's cache)"


class GtzanParams(SourceParams):
    """Parameters of the GTZAN source; `watch_metadata` is its table of artists.

    Attributes
    ----------
    archive : str or None
        Absolute path of an archive that the user has, which is only read: Kaggle's, or the original
        genres.tar.gz; None: Kaggle's is downloaded.
    """

    name: Literal["gtzan"]
    archive: str | None = None


@dataclass(frozen=True)
class Artist:
    """Who plays on a clip (``data/facts/gtzan_artists.csv``)."""

    track_id: str
    artist: str  # the composer in classical; empty: unknown


@dataclass(frozen=True)
class Fault:
    """What is wrong with a clip (``data/facts/gtzan_faults.csv``)."""

    track_id: str
    fault: str  # with `others` it reads as a phrase
    others: str  # the track_ids it concerns, with spaces between; may be empty


class Gtzan:
    """1000 clips of 30 s in ten genres, as Kaggle has them; the group of a track is its artist."""

    name = "gtzan"
    licence = "none stated: excerpts of commercial recordings, shared for research"
    citation = (
        "G. Tzanetakis and P. Cook, Musical genre classification of audio signals, IEEE Transactions on "
        "Speech and Audio Processing 10(5), 2002; its faults: B. L. Sturm, The GTZAN dataset: its contents, "
        "its faults, their effects on evaluation, and its future use, arXiv:1306.1461, 2013"
    )
    caveat = (
        "GTZAN has known replicas, repeated artists and mislabelings, "
        "so its numbers compare only with numbers on the same split."
    )

    def __init__(self, params: GtzanParams):
        self.params = params

    def published(self) -> Published:
        """Return the clips that the table of artists lists; Kaggle's copy has their `path`."""
        tracks = self._tracks()
        optional = frozenset(track.track_id for track in tracks if UNREADABLE in track.fault)
        return Published(tracks=tracks, n_tracks=N_CLIPS, optional=optional)

    def fetch(self, into: Path) -> list[RawTrack]:
        """Unpack the wanted clips as they are, from the given archive, the work cache's or a new download.

        A clip that is known to be unreadable may be missing from the archive; it then has no row.

        Raises
        ------
        EncoreError
            If a class of `classes` is not in GTZAN, Kaggle does not deliver, the archive is damaged,
            incomplete or hostile, or the disk is full.
        """
        with disk_errors_in_one_line(into, NEEDS):
            tracks = self._tracks()
            # Before the download, so that a wrong class costs no gigabyte.
            wanted = choose(tracks, self.params, "GTZAN")
            if self.params.archive is not None:
                return _from_users_archive(absolute(self.params.archive, "archive"), wanted, tracks, into)
            return _from_kaggle(wanted, tracks, into)

    def _tracks(self) -> list[RawTrack]:
        faults = _faults()
        return [
            RawTrack(
                track_id=track_id,
                path=f"{_label(track_id)}/{track_id}.wav",
                label=_label(track_id),
                group=artist,
                fault="; ".join(faults[track_id]),
                source=self.name,
            )
            for track_id, artist in _artists(Path(self.params.watch_metadata)).items()
        ]


def _from_users_archive(
    path: Path, wanted: list[RawTrack], tracks: list[RawTrack], into: Path
) -> list[RawTrack]:
    if not path.is_file():
        raise EncoreError(f"dataset.archive: no file {path}")
    try:
        return _unpack(path, wanted, tracks, into)
    except archive.UnusableError as error:
        raise EncoreError(
            f"dataset.archive: {path} {error}; give a whole archive of GTZAN, Kaggle's zip or genres.tar.gz, "
            "or leave the key out to download one"
        ) from None


def _from_kaggle(wanted: list[RawTrack], tracks: list[RawTrack], into: Path) -> list[RawTrack]:
    from filelock import FileLock

    path = work_cache("downloads") / ARCHIVE
    # Queued experiments share the cache: one downloads, the others wait for it.
    with FileLock(work_cache("locks") / "gtzan.lock"):
        if not path.exists():
            publish(kaggle.download(DATASET, work_cache("downloads/partial"), NEEDS), path)
        try:
            return _unpack(path, wanted, tracks, into)
        except archive.UnusableError as error:
            raise archive.deleted(path, error) from None


def _artists(path: Path) -> dict[str, str]:
    try:
        return {row.track_id: row.artist for row in read_plain_rows(path, Artist)}
    except (KeyError, ValueError):
        raise EncoreError(
            f"dataset.watch_metadata: {path} should be a CSV table with columns track_id and artist"
        ) from None


def _label(track_id: str) -> str:
    return track_id.partition(".")[0]


def _faults() -> defaultdict[str, list[str]]:
    """Return what is wrong with each clip, as far as it is verified."""
    faults = defaultdict(list)
    for row in read_plain_rows(FAULTS, Fault):
        if row.fault in VERIFIED:
            faults[row.track_id].append(f"{row.fault} {row.others}".strip())
    return faults


def _unpack(path: Path, wanted: list[RawTrack], tracks: list[RawTrack], into: Path) -> list[RawTrack]:
    """Unpack the `wanted` clips, all or none, from an archive that must have all of `tracks`."""
    from tqdm import tqdm

    with archive.members(path) as members:
        clips = _checked_clips(members)
        required = {track.track_id for track in tracks if UNREADABLE not in track.fault}
        if missing := sorted(required - clips.keys()):
            some = ", ".join(missing[:3]) + (", …" if missing[3:] else "")
            raise archive.UnusableError(f"lacks {len(missing)} of {len(tracks)} clips ({some})")
        tracks_of = {track.track_id: track for track in wanted}
        present = [track_id for track_id in clips if track_id in tracks_of]  # in the order of the archive
        with new_folder(into) as folder:
            bar = tqdm(present, "unpack", unit="track", disable=None)
            rows = {each: _unpack_clip(clips[each], tracks_of[each], folder) for each in bar}
    return [rows[track_id] for track_id in tracks_of if track_id in rows]


def _checked_clips(members: list[archive.Member]) -> dict[str, archive.Member]:
    """Return the member of each clip, in the order of the archive.

    Where a clip is written follows from its track_id, never from a name in the archive. An archive that
    tries to lead elsewhere is refused all the same, since nothing in it can be trusted.
    """
    clips: dict[str, archive.Member] = {}
    names = set()
    for member in members:
        name = member.name
        path = PureWindowsPath(name)  # splits at both kinds of slash and knows drives
        if path.anchor or ".." in path.parts:
            raise archive.UnusableError(f"has a member that leads out of its folder ({name!r})")
        if not member.is_ordinary:
            raise archive.UnusableError(f"has a member that is a link or a device ({name!r})")
        clip = CLIP.fullmatch(name)
        if name in names or (clip and clip["track_id"] in clips):
            raise archive.UnusableError(f"has {clip['track_id'] if clip else repr(name)} twice")
        names.add(name)
        if clip:
            if member.n_bytes > MAX_CLIP_BYTES:
                raise archive.UnusableError(f"has a clip of {member.n_bytes / 1e6:.0f} MB ({name!r})")
            clips[clip["track_id"]] = member
    if (n_bytes := sum(member.n_bytes for member in clips.values())) > MAX_BYTES:
        raise archive.UnusableError(f"has {n_bytes / 1e9:.0f} GB of clips")
    return clips


def _unpack_clip(member: archive.Member, track: RawTrack, folder: Path) -> RawTrack:
    """Write a clip; return its row, now with hash, size and the suffix that the archive has."""
    path = Path(track.path).with_suffix(Path(member.name).suffix)
    with member.open() as packed:
        sha256, n_bytes = archive.copy(packed, folder / path, MAX_CLIP_BYTES)
    return replace(track, path=path.as_posix(), sha256=sha256, bytes=n_bytes)
