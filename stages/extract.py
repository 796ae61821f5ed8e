"""Stage extract: what do the segments look like? Writes data/features/features.h5."""

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import groupby, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.core.params import load
from stages.core.runtime import runtime
from stages.core.tables import AudioTrack, Segment, each_row
from stages.core.workspace import outputs
from stages.entry.command import run
from stages.features.params import FeaturesParams, build, build_variants
from stages.parallel.ordered import ordered_map, takes_processes
from stages.parallel.processes import prepare
from stages.storage import cache, hdf5

if TYPE_CHECKING:
    from stages.features.cached import Stretch
    from stages.features.catalogue import Feature
    from stages.features.variants import Variant

AUDIO = Path("data/audio")
SEGMENTS = Path("data/segments/segments.csv")
WORKERS_LOAD = ("stages.features.cached", "torch", "librosa.filters", "scipy.signal")
SAMPLES_PER_STRETCH = 1 << 22  # three minutes at 22,050 Hz: bounds the memory, however long a track is


@dataclass(frozen=True)
class Index:
    """The segments, one after another.

    Attributes
    ----------
    length : int
        Of each, in samples.
    tracks : mapping of str to (int, str, int)
        Row in data/audio/tracks.csv, label, and samples in a window of each track, by its track_id.
    track_id : sequence of str
        Of each segment.
    segment, start : array of int
        Of each segment: its number within the track, and its first sample there.
    """

    length: int
    tracks: Mapping[str, tuple[int, str, int]]
    track_id: Sequence[str]
    segment: "array[int]"
    start: "array[int]"

    @classmethod
    def read(cls) -> "Index":
        """Read what segment wrote."""
        rows = enumerate(each_row(AUDIO / "tracks.csv", AudioTrack))
        tracks = {
            track.track_id: (row, track.label, track.n_samples // track.n_windows) for row, track in rows
        }
        names = {name: name for name in tracks}  # one string for each track, however many segments it has
        track_id, segment, start, length = [], array("i"), array("q"), 0
        for row in each_row(SEGMENTS, Segment):
            track_id.append(names[row.track_id])
            segment.append(row.segment)
            start.append(row.start)
            length = row.stop - row.start
        return cls(length, tracks, track_id, segment, start)

    def window(self, segment: int) -> int:
        """The number, within its track, of the window that segment `segment` of all lies in."""
        return self.start[segment] // self.tracks[self.track_id[segment]][2]

    def stretches(self, by_window: bool) -> list[slice]:
        """Neighbouring segments of a track, or of a window of it, as many as are extracted in one go."""
        at_once = max(1, SAMPLES_PER_STRETCH // self.length)
        windows = map(self.window, range(len(self.track_id))) if by_window else repeat(0)
        stretches, first = [], 0
        for _, together in groupby(zip(self.track_id, windows, strict=False)):
            stop = first + sum(1 for _ in together)
            stretches += [slice(i, min(i + at_once, stop)) for i in range(first, stop, at_once)]
            first = stop
        return stretches

    def table(self) -> hdf5.SegmentTable:
        """The segments as features.h5 names them."""
        label = [self.tracks[track_id][1] for track_id in self.track_id]
        return hdf5.SegmentTable(self.track_id, self.segment, self.start, label)


def main() -> None:
    """Extract the features of every segment in the index."""
    params = load("features", FeaturesParams)
    index = Index.read()
    sample_rate_hz = hdf5.read_sample_rate_hz(AUDIO / "audio.h5")
    features = build(params, sample_rate_hz, index.length)
    with hdf5.open_audio(AUDIO / "audio.h5") as audio:
        digests = {
            track_id: hdf5.read_digest(audio, index.tracks[track_id][0])
            for track_id, _ in groupby(index.track_id)
        }
    variants = build_variants(params.variants)
    cached = _extracted(index, features, variants, digests)
    arrays = {name: stored_as(name, feature, params, index.length) for name, feature in features.items()}
    with outputs(Path("data/features")) as folder:
        made_with = (f"{name} {version(name).partition('+')[0]}" for name in ("librosa", "torch"))
        attributes = {
            **params.model_dump(include={"n_fft", "hop_length", "window", "pad_mode", "include"}),
            "sample_rate_hz": sample_rate_hz,
            "segment_length": index.length,
            "audio_sha256": hashlib.sha256("".join(digests.values()).encode()).hexdigest(),
            "made_with": ", ".join(made_with),
        }
        path = folder / "features.h5"
        names = [variant.name for variant in variants]
        with hdf5.NewFeatures(path, arrays, index.table(), attributes, params.compression, names) as file:
            for variant, first, values in cached:
                for name, of_stretch in values.items():
                    file.write(name, first, of_stretch, variant.name if variant else None)
    if n_empty := max(feature.n_empty_bands() for feature in features.values()):
        print(
            f"extract: {n_empty} of {params.mel.n_mels} bands of mel hold no bin and stay at the floor; "
            "choose a larger features.n_fft or a smaller features.mel.n_mels"
        )
    for name, stored in arrays.items():
        shape = (len(index.track_id), len(stored.bins.values), len(stored.time.values))
        print(f"extract: {name} {shape} {stored.dtype}")
    if names:
        print(f"extract: the same of {', '.join(names)}")


def stored_as(name: str, feature: "Feature", params: FeaturesParams, length: int) -> hdf5.Array:
    """How a feature is stored."""
    framing = feature.framing
    time_s = framing.time_s(length, feature.sample_rate_hz)
    shares_time = (framing.n_fft, framing.hop_length) == (params.n_fft, params.hop_length)
    settings = asdict(feature)
    del settings["sample_rate_hz"]
    return hdf5.Array(
        np.dtype(params.dtype if feature.dtype == np.float32 else feature.dtype),
        feature.unit,
        hdf5.Axis(*feature.bins()),
        hdf5.Axis("time_s" if shares_time else f"time_s_{name}", time_s),
        settings.pop("framing") | settings,
    )


def _extracted(
    index: Index,
    features: "Mapping[str, Feature]",
    variants: "Sequence[Variant]",
    digests: Mapping[str, str],
) -> "Iterator[tuple[Variant | None, int, dict[str, NDArray[Any]]]]":
    """The features of every stretch, in order: from the work cache where it has them.

    Those of the music as it is come first, then those of each variant; before them its first row.
    """
    from stages.features import cached

    settings, code, audio = runtime(), cached.code(), AUDIO / "audio.h5"
    versions = (None, *variants)
    recipes = {
        (variant, name): cached.recipe(feature, variant, index.length, code)
        for variant in versions
        for name, feature in features.items()
    }

    def located(variant: "Variant | None", rows: slice) -> "Stretch":
        track_id, starts = index.track_id[rows.start], index.start[rows].tolist()
        row, _, window = index.tracks[track_id]
        stop = starts[-1] + index.length
        if variant is not None:
            end_of_window = (index.window(rows.start) + 1) * window
            stop = min(starts[-1] + variant.reach(index.length), end_of_window)
        keys = {
            name: cached.key(digests[track_id], starts, stop, recipes[variant, name]) for name in features
        }
        return cached.Stretch(row, starts, stop, index.length, variant, features, keys)

    def only(stretch: "Stretch", names: Sequence[str]) -> "Stretch":
        return replace(stretch, features={name: features[name] for name in names})

    work = [
        (variant, rows) for variant in versions for rows in index.stretches(by_window=variant is not None)
    ]
    missing = [[name for name, key in located(*place).keys.items() if not cache.keep(key)] for place in work]
    n_to_do = sum(map(bool, missing))
    if takes_processes(n_to_do):
        prepare(WORKERS_LOAD)

    def in_order() -> "Iterator[tuple[Variant | None, int, dict[str, NDArray[Any]]]]":
        to_do = (only(located(*place), names) for place, names in zip(work, missing, strict=True) if names)
        is_local = settings.backend == "local"  # else the work cache is not where the workers are
        if is_local:
            compute_and_save = partial(cached.compute_and_save, audio=audio)
            computed = ordered_map(compute_and_save, to_do, n_to_do, "extract")
        else:
            music = (cached.read(stretch, audio) for stretch in to_do)
            computed = ordered_map(cached.compute, music, n_to_do, "extract")
        with cache.bounded(settings.cache_gb) as written:
            for (variant, rows), names in zip(work, missing, strict=True):
                stretch, new = located(variant, rows), next(computed) if names else {}
                if not is_local:
                    cached.save(new, stretch.keys)
                kept = {name: cached.load(stretch.keys[name]) for name in features if name not in new}
                values = new | {name: value for name, value in kept.items() if value is not None}
                if gone := [name for name in features if name not in values]:  # or damaged, since we looked
                    again = cached.compute_and_save(only(stretch, gone), audio)
                    new, values = new | again, values | again
                yield variant, rows.start, {name: values[name] for name in features}
                written(sum(value.nbytes for value in new.values()))

    return in_order()


if __name__ == "__main__":
    run(main)
