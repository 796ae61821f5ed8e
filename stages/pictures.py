"""Stage pictures: what does the music look like? Draws spectrograms to data/pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.params import load
from stages.core.tables import AudioTrack, read_rows
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.features.params import FeaturesParams
from stages.plots import figures, spectrograms
from stages.plots.pages import PicturesParams, Plan, page_features, plan
from stages.storage import audio_file

if TYPE_CHECKING:
    import h5py

AUDIO = Path("data/audio")
OVERVIEW_S = 3.0  # of each class


def main() -> None:
    """Draw a page for each class and each chosen track, and one picture of all classes."""
    params = load("pictures", PicturesParams)
    tracks = read_rows(AUDIO / "tracks.csv", AudioTrack)
    planned = plan(tracks, params.tracks)
    sample_rate_hz = audio_file.read_sample_rate_hz(AUDIO / "audio.h5")
    features = page_features(load("features", FeaturesParams), sample_rate_hz)
    with audio_file.open_audio(AUDIO / "audio.h5") as audio, outputs(Path("data/pictures")) as folder:
        draw_pages(
            folder, planned, tracks, audio, features, max(1, round(params.duration_s * sample_rate_hz))
        )
        draw_overview(folder, planned, tracks, audio, features["mel"])
    n_tracks = len(planned.tracks)
    print(f"pictures: {len(planned.classes)} classes, {n_tracks} tracks in data/pictures")
    if not planned.classes:
        print(f"  no track has a label: spectrograms.png shows the first {len(planned.overview)} by name")


def draw_pages(
    folder: Path,
    planned: Plan,
    tracks: Sequence[AudioTrack],
    audio: "h5py.File",
    features: Mapping[str, Any],
    n_samples: int,
) -> None:
    """Draw the first `n_samples` of classes and tracks to ``pages/classes/`` and ``pages/tracks/``."""
    from tqdm import tqdm

    pages = []
    for kind, rows in (("classes", planned.classes), ("tracks", planned.tracks)):
        (folder / "pages" / kind).mkdir(parents=True)
        pages += [(folder / "pages" / kind / name, row) for name, row in rows.items()]
    for path, row in tqdm(pages, desc="pictures", unit="page", disable=None):
        samples = audio_file.read_waveform(audio, row, 0, n_samples)
        figures.save(spectrograms.page(samples, features, tracks[row].label, tracks[row].track_id), path)


def draw_overview(
    folder: Path, planned: Plan, tracks: Sequence[AudioTrack], audio: "h5py.File", mel: Any
) -> None:
    """Draw the middle of a track of each class to ``spectrograms.png`` in `folder`."""
    length = round(OVERVIEW_S * mel.sample_rate_hz)
    middles = {}
    for title, row in planned.overview.items():
        start = max(0, (tracks[row].n_samples - length) // 2)
        middles[title] = audio_file.read_waveform(audio, row, start, start + length)
    figures.save(spectrograms.overview(middles, mel), folder / "spectrograms.png")


if __name__ == "__main__":
    run(main)
