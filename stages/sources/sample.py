"""The embedded toy dataset: ten genres of made-up artists, composed and rendered when it is fetched."""

import functools
import hashlib
import io
import wave
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.tables import RawTrack
from stages.parallel.processes import Lost, isolated_map
from stages.sources.choice import choose
from stages.sources.composer.artists import Artist, artists
from stages.sources.composer.styles import GENRES
from stages.sources.params import SourceParams
from stages.sources.source import Published

SAMPLE_RATE_HZ = 22_050
DURATION_S = 30.0
SONGS_PER_GENRE = 100
TIMEOUT_S = 600.0  # far more than a track takes


class SampleParams(SourceParams):
    """Parameters of the `sample` source.

    Attributes
    ----------
    tracks_per_class : int or None
        Songs of each genre, from its first one on, so that its artists take turns; None for all.
    seed : int
        Another seed is another set of songs by the same artists.
    """

    name: Literal["sample"]
    tracks_per_class: int | None = Field(ge=1, le=SONGS_PER_GENRE)

    @property
    def most_per_class(self) -> None:
        """None: all that are composed, also where verdicts have moved some of them to another class."""
        return None


class Sample:
    """Music in the manner of ten genres, under GTZAN's names and in its format."""

    name = "sample"
    licence = (
        "MIT, like the code that composes it; played with TimGM6mb.sf2 (GPL-2), which is read from the "
        "installed pretty_midi package and not redistributed"
    )
    citation = "Encore, sample dataset: generated music, no recordings"
    caveat = (
        "The sample dataset is a toy, composed by rules and synthesised: a check of the pipeline, "
        "no evidence about models."
    )

    def __init__(self, params: SampleParams) -> None:
        self.params = params

    def published(self) -> Published:
        """Return every track that `tracks_per_class` lets be composed."""
        tracks = self._tracks()
        return Published(tracks=tracks, n_tracks=len(tracks))

    def fetch(self, into: Path) -> list[RawTrack]:
        """Compose and render every track; any number of workers writes the same bytes."""
        wanted = choose(self._tracks(), self.params, "the sample")
        for folder in sorted({(into / track.path).parent for track in wanted}):
            folder.mkdir()
        make = functools.partial(_make, seed=self.params.seed, into=into)
        tracks = []
        for track in isolated_map(make, wanted, len(wanted), "composing", TIMEOUT_S):
            if isinstance(track, Lost):
                raise EncoreError(f"dataset sample: a track {track.reason}; run again")
            tracks.append(track)
        return tracks

    def _tracks(self) -> list[RawTrack]:
        numbers = range(self.params.tracks_per_class or SONGS_PER_GENRE)
        return [
            RawTrack(
                track_id=f"{genre}.{number:05d}",
                path=f"{genre}/{genre}.{number:05d}.wav",
                label=genre,
                group=_artist(genre, number).artist,
                source=self.name,
            )
            for genre in GENRES
            for number in numbers
        ]


def _artist(genre: str, number: int) -> Artist:
    return artists()[genre][number % len(artists()[genre])]


def track_seed(seed: int, track_id: str) -> int:
    """Return the seed of one track, which no other track changes."""
    return int.from_bytes(hashlib.sha256(f"{seed} {track_id}".encode()).digest()[:8], "big")


def _make(track: RawTrack, seed: int, into: Path) -> RawTrack:
    """Compose one track, write it, and return its row with hash and size; nothing else changes its bytes."""
    import numpy as np

    from stages.audio.render import levelled, render
    from stages.sources.composer.room import reverberated
    from stages.sources.composer.song import compose

    genre, _, number = track.track_id.partition(".")  # the label may have been corrected
    artist = _artist(genre, int(number))
    midi = compose(artist, track_seed(seed, track.track_id), DURATION_S).midi
    dry = render(midi, SAMPLE_RATE_HZ, DURATION_S)
    samples = levelled(reverberated(dry, SAMPLE_RATE_HZ, artist.reverb_s, artist.reverb_db))
    scale = 32767 * 10 ** (artist.loudness_db / 20)
    content = _wav(np.rint(samples * scale).astype("<i2").tobytes())
    (into / track.path).write_bytes(content)
    return replace(track, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _wav(frames: bytes) -> bytes:
    """Return a mono 16-bit WAV file; the standard library writes no date or name into it."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(frames)
    return buffer.getvalue()
