"""The features of all segments, by chunk: from the work cache, or computed on all cores or a cluster."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from stages.core.runtime import runtime
from stages.features import cached
from stages.features.cached import Chunk
from stages.features.params import FeaturesParams, build, build_variants
from stages.features.segments import Index
from stages.features.variants import Variant
from stages.parallel.ordered import ordered_map, takes_processes
from stages.parallel.processes import prepare
from stages.storage import cache, hdf5

WORKERS_LOAD = ("stages.features.cached", "scipy.fft")


class Place(NamedTuple):
    """Which segments of which variant; None: of the original music."""

    variant: Variant | None
    rows: slice


class Block(NamedTuple):
    """The features of neighbouring segments.

    Attributes
    ----------
    place : Place
    values : dict of str to ndarray (n_rows, n_bins, n_frames)
    """

    place: Place
    values: dict[str, NDArray[Any]]


class Extraction:
    """What is to be extracted, and the way to it.

    Parameters
    ----------
    params : FeaturesParams
    index : Index
        The segments.
    audio : Path
        The file that has the music.

    Attributes
    ----------
    index : Index
    sample_rate_hz : int
    features : dict of str to Feature
    variants : list of Variant
    audio_sha256 : str
        Digest of the samples of all tracks that have segments.

    Raises
    ------
    EncoreError
        If a setting does not fit the sample rate or the length of a segment.
    """

    def __init__(self, params: FeaturesParams, index: Index, audio: Path):
        self.index = index
        self.sample_rate_hz = hdf5.read_sample_rate_hz(audio)
        self.features = build(params, self.sample_rate_hz, index.length)
        self.variants = build_variants(params.variants)
        self._audio = audio
        with hdf5.open_audio(audio) as file:
            self._digests = {
                track_id: hdf5.read_digest(file, index.tracks[track_id][0])
                for track_id, _ in groupby(index.track_id)
            }
        self.audio_sha256 = hashlib.sha256("".join(self._digests.values()).encode()).hexdigest()
        code = cached.code()
        self._settings_keys = {
            (variant, name): cached.settings_key(feature, variant, index.length, code)
            for variant in (None, *self.variants)
            for name, feature in self.features.items()
        }

    def blocks(self) -> Iterator[Block]:
        """Return the features of every chunk in order: first of the original, then of each variant."""
        places = [Place(None, rows) for rows in self.index.chunks(by_window=False)]
        if self.variants:
            by_window = self.index.chunks(by_window=True)
            places += [Place(variant, rows) for variant in self.variants for rows in by_window]
        missing = [self._missing(place) for place in places]
        n_to_do = sum(map(bool, missing))
        if takes_processes(n_to_do):
            prepare(WORKERS_LOAD)
        to_do = (
            self._chunk(place).only(names) for place, names in zip(places, missing, strict=True) if names
        )
        return self._blocks(places, missing, self._computed(to_do, n_to_do))

    def _chunk(self, place: Place) -> Chunk:
        variant, rows = place
        index = self.index
        track_id, starts = index.track_id[rows.start], index.start[rows].tolist()
        row, _, window = index.tracks[track_id]
        stop = starts[-1] + index.length
        if variant is not None:
            end_of_window = (index.window(rows.start) + 1) * window
            stop = min(starts[-1] + variant.reach(index.length), end_of_window)
        keys = {
            name: cached.key(self._digests[track_id], starts, stop, self._settings_keys[variant, name])
            for name in self.features
        }
        return Chunk(row, starts, stop, index.length, variant, self.features, keys)

    def _missing(self, place: Place) -> list[str]:
        """Return the features of a chunk that the work cache does not have."""
        return [name for name, key in self._chunk(place).keys.items() if not cache.keep(key)]

    def _computed(self, chunks: Iterable[Chunk], n_chunks: int) -> Iterator[dict[str, NDArray[Any]]]:
        """Compute chunks in parallel, and save them where the workers share the work cache."""
        if _workers_share_the_cache():
            compute_and_save = partial(cached.compute_and_save, audio=self._audio)
            return ordered_map(compute_and_save, chunks, n_chunks, "extract")
        loaded = (cached.read(chunk, self._audio) for chunk in chunks)
        return ordered_map(cached.compute, loaded, n_chunks, "extract")

    def _blocks(
        self,
        places: Sequence[Place],
        missing: Sequence[Sequence[str]],
        computed: Iterator[dict[str, NDArray[Any]]],
    ) -> Iterator[Block]:
        with cache.bounded(runtime().cache_gb) as written:
            for place, names in zip(places, missing, strict=True):
                chunk, new = self._chunk(place), next(computed) if names else {}
                if not _workers_share_the_cache():
                    cached.save(new, chunk.keys)
                cached_before = {
                    name: cached.load(chunk.keys[name]) for name in self.features if name not in new
                }
                values = new | {name: value for name, value in cached_before.items() if value is not None}
                if gone := [name for name in self.features if name not in values]:  # deleted or damaged since
                    again = cached.compute_and_save(chunk.only(gone), self._audio)
                    new, values = new | again, values | again
                yield Block(place, {name: values[name] for name in self.features})
                written(sum(value.nbytes for value in new.values()))


def _workers_share_the_cache() -> bool:
    return runtime().backend == "local"
