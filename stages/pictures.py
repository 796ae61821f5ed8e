"""Stage pictures: what does the music look like? Draws data/pictures."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field

from stages.core.errors import EncoreError
from stages.core.params import Params, load
from stages.core.tables import AudioTrack, read_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.features.params import FeaturesParams, build
from stages.plots import figures, spectrograms
from stages.storage import hdf5

AUDIO = Path("data/audio")
OVERVIEW_S = 3.0  # of each class
MAX_NAME = 60  # characters of up to four bytes, where a file's name has 255


class PicturesParams(Params):
    """The `pictures` section.

    Attributes
    ----------
    tracks : list of str
        Tracks that get a page of their own, by track_id; the first of each class has one anyway.
    duration_s : float
        How much of a track a page shows, from its start.
    """

    tracks: list[str]
    duration_s: float = Field(gt=0, le=600)


def main() -> None:
    """Draw a page for each class and each track asked for, and one picture of all classes."""
    params = load("pictures", PicturesParams)
    tracks = read_rows(AUDIO / "tracks.csv", AudioTrack)
    row_of = {track.track_id: row for row, track in enumerate(tracks)}
    _assert_known(params.tracks, row_of)
    classes: dict[str, int] = {}
    for row, track in enumerate(tracks):
        if track.label:
            classes.setdefault(track.label, row)
    classes = dict(sorted(classes.items()))
    pages = [(f"classes/{name}", classes[label]) for label, name in file_names(classes).items()]
    pages += [(f"tracks/{name}", row_of[track_id]) for track_id, name in file_names(params.tracks).items()]
    sample_rate_hz = hdf5.read_sample_rate_hz(AUDIO / "audio.h5")
    features = page_features(load("features", FeaturesParams), sample_rate_hz)

    from tqdm import tqdm

    with hdf5.open_audio(AUDIO / "audio.h5") as audio, outputs(Path("data/pictures")) as folder:
        for kind in ("classes", "tracks"):
            (folder / kind).mkdir()
        for name, row in tqdm(pages, desc="pictures", unit="page", disable=None):
            samples = hdf5.read_waveform(audio, row, 0, max(1, round(params.duration_s * sample_rate_hz)))
            page = spectrograms.page(samples, features, tracks[row].label, tracks[row].track_id)
            figures.save(page, folder / name)
        if classes:
            length = round(OVERVIEW_S * sample_rate_hz)
            middles = {}
            for label, row in classes.items():
                start = max(0, (tracks[row].n_samples - length) // 2)
                middles[label] = hdf5.read_waveform(audio, row, start, start + length)
            figures.save(spectrograms.overview(middles, features["mel"]), folder / "spectrograms.png")
    print(f"pictures: {len(classes)} classes, {len(pages) - len(classes)} tracks in data/pictures")


def page_features(params: FeaturesParams, sample_rate_hz: int) -> dict[str, Any]:
    """The features of a page, whether `features.include` has them or not; MFCC without derivatives."""
    mfcc = params.mfcc.model_copy(update={"deltas": 0})
    shown = params.model_copy(update={"include": [*spectrograms.PAGE], "mfcc": mfcc})
    shortest = max(shown.setting(name, "n_fft") for name in shown.include)  # shorter stretches are padded
    return build(shown, sample_rate_hz, shortest)


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each of some labels or track_ids: legible, one of its own, and legal on any system.

    Where two would be told apart by case or by what no file name may hold, both bear a digest.
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


def _assert_known(wanted: Sequence[str], known: Collection[str]) -> None:
    for place, track_id in enumerate(wanted):
        if track_id not in known:
            near = ", ".join(get_close_matches(track_id, known))
            raise EncoreError(
                f"params.yaml: pictures.tracks.{place} is {track_id!r}, no track of {AUDIO / 'tracks.csv'}"
                + (f"; near it: {near}" if near else "")
            )


if __name__ == "__main__":
    run(main)
