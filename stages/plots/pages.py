"""Which pages the pictures stage draws, under which file names, and of which features."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params
from stages.core.tables import AudioTrack
from stages.features.feature import FramedFeature
from stages.features.params import FeaturesParams, build
from stages.plots import spectrograms

MAX_NAME = 60  # characters of up to four bytes, where a file's name has 255
MAX_UNLABELLED = 10  # tracks in an overview without classes


class PicturesParams(Params):
    """The `pictures` section.

    Attributes
    ----------
    tracks : list of str
        Tracks that get a page, by track_id; the first track of each class always has one.
    duration_s : float
        How much of a track a page shows, from its start.
    """

    tracks: list[str]
    duration_s: float = Field(gt=0, le=600)


@dataclass(frozen=True)
class Plan:
    """What to draw. Tracks are given by their rows in tracks.csv.

    Attributes
    ----------
    overview : mapping of str to int
        Panels of the overview, by title: each class with its first track; without classes, the first
        tracks by name.
    classes, tracks : mapping of str to int
        Pages of classes and of tracks, by file name.
    """

    overview: Mapping[str, int]
    classes: Mapping[str, int]
    tracks: Mapping[str, int]


def plan(tracks: Sequence[AudioTrack], wanted: Sequence[str]) -> Plan:
    """Plan the pictures of the tracks in tracks.csv.

    Raises
    ------
    EncoreError
        If one of `wanted`, from ``pictures.tracks``, is not the track_id of any of them.
    """
    row_of = {track.track_id: row for row, track in enumerate(tracks)}
    for place, track_id in enumerate(wanted):
        if track_id not in row_of:
            similar = ", ".join(get_close_matches(track_id, row_of))
            raise EncoreError(
                f"params.yaml: pictures.tracks.{place} is {track_id!r}, no track of data/audio/tracks.csv"
                + (f"; similar: {similar}" if similar else "")
            )
    first: dict[str, int] = {}
    for row, track in enumerate(tracks):
        if track.label:
            first.setdefault(track.label, row)
    classes = dict(sorted(first.items()))
    return Plan(
        classes or dict(sorted(row_of.items())[:MAX_UNLABELLED]),
        {name: classes[label] for label, name in file_names(classes).items()},
        {name: row_of[track_id] for track_id, name in file_names(wanted).items()},
    )


def page_features(params: FeaturesParams, sample_rate_hz: int) -> dict[str, FramedFeature]:
    """Return the features of a page, even if `features.include` lacks them; MFCC without derivatives."""
    mfcc = params.section("mfcc").model_copy(update={"deltas": 0})
    shown = params.model_copy(update={"include": [*spectrograms.PAGE], "mfcc": mfcc})
    shortest = max(shown.framing_of(name).n_fft for name in shown.include)  # shorter excerpts are padded
    return cast("dict[str, FramedFeature]", build(shown, sample_rate_hz, shortest))


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a file name for each label or track_id: readable, unique, and legal on any system.

    Names that would differ only in case or in characters that are replaced get a digest.
    """
    legal = {name: _legal(name) for name in names}
    alike = Counter(text.casefold() for text in legal.values())
    return {
        name: f"{text}.png" if alike[text.casefold()] == 1 else f"{text}~{_digest(name)}.png"
        for name, text in legal.items()
    }


def _legal(name: str) -> str:
    text = re.sub(r"[^\w.+-]", "_", unicodedata.normalize("NFC", name))[-MAX_NAME:]
    hidden_or_a_device = re.match(r"\.|(con|prn|aux|nul|com.|lpt.)(\.|$)", text, re.IGNORECASE)
    return f"_{text}" if hidden_or_a_device else text


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
