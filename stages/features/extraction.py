"""The features of all segments: taken over from earlier runs, or computed on all cores or a cluster."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, tee
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.core.runtime import runtime
from stages.core.workspace import flushed_early
from stages.features import cached
from stages.features.cached import Chunk
from stages.features.catalogue import CATALOGUE
from stages.features.known import Known, Rows, complete, link
from stages.features.params import FeaturesParams, build, build_variants
from stages.features.segments import Index
from stages.features.variants import Variant
from stages.parallel.ordered import ordered_map, takes_processes
from stages.parallel.processes import prepare
from stages.storage import audio_file, cache, feature_file

WORKERS_LOAD = ("stages.features.cached", "scipy.fft")


class Place(NamedTuple):
    """Which segments of which variant; None: of the original music."""

    variant: Variant | None
    rows: slice


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
        if takes_processes(len(index.tracks)):
            needed = filter(None, (CATALOGUE[name].module for name in params.include))
            prepare([*WORKERS_LOAD, *needed])  # while this process finds out what is to be done
        self.index = index
        self.sample_rate_hz = audio_file.read_sample_rate_hz(audio)
        self.features = build(params, self.sample_rate_hz, index.length)
        self.variants = build_variants(params.variants)
        self._audio = audio
        with audio_file.open_audio(audio) as file:
            self._digests = {
                track_id: audio_file.read_digest(file, index.tracks[track_id][0])
                for track_id, _ in groupby(index.track_id)
            }
        self.audio_sha256 = hashlib.sha256("".join(self._digests.values()).encode()).hexdigest()
        code = cached.code()
        self._settings_keys = {
            (variant, name): cached.settings_key(feature, variant, index.length, code)
            for variant in (None, *self.variants)
            for name, feature in self.features.items()
        }

    def fill(self, new: feature_file.NewFeatures, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        """Write all rows of `new`: first of the original music, then of each variant.

        Parameters
        ----------
        new : NewFeatures
        dtypes : mapping of str to numpy dtype
            How each feature is stored.
        """
        places = [Place(None, rows) for rows in self.index.chunks(by_window=False)]
        if self.variants:
            by_window = self.index.chunks(by_window=True)
            places += [Place(variant, rows) for variant in self.variants for rows in by_window]
        known, keys = Known(), [self._keys(place) for place in places]
        missing = [
            [name for name, key in of_place.items() if not known.has(key, dtypes[name])] for of_place in keys
        ]
        listed = link(new.path, _rows_by_key(places, keys))  # now that what it may replace is open
        n_to_do = sum(map(bool, missing))
        to_do = (self._chunk(place, names) for place, names in zip(places, missing, strict=True) if names)
        computed = self._computed(to_do, n_to_do, new)
        with flushed_early(new.path):
            for place, of_place, names in zip(places, keys, missing, strict=True):
                if names:
                    next(computed)
                before = {
                    name: known.read(key, dtypes[name]) for name, key in of_place.items() if name not in names
                }
                if before:
                    self._take_over(place, before, new)
        complete(new.path, listed)
        cache.trim(runtime().cache_gb)

    def _take_over(
        self, place: Place, before: Mapping[str, NDArray[Any] | None], new: feature_file.NewFeatures
    ) -> None:
        """Write features of earlier runs at a place; compute those that are damaged: None."""
        whole = {name: values for name, values in before.items() if values is not None}
        cached.write(self._chunk(place, whole), whole, new)
        if gone := before.keys() - whole:
            cached.compute_and_write(self._chunk(place, sorted(gone)), self._audio, new)

    def _chunk(self, place: Place, names: Iterable[str]) -> Chunk:
        """Return what is to be done at a place for some features."""
        variant, rows = place
        starts, stop = self._cut(place)
        features = {name: self.features[name] for name in names}
        row = self.index.tracks[self.index.track_id[rows.start]][0]
        return Chunk(row, rows.start, starts, stop, self.index.length, variant, features)

    def _cut(self, place: Place) -> tuple[list[int], int]:
        """Return where the segments at a place start in their track, and where their music ends."""
        variant, rows = place
        index = self.index
        starts = index.start[rows].tolist()
        stop = starts[-1] + index.length
        if variant is not None:
            window = index.tracks[index.track_id[rows.start]][2]
            end_of_window = (index.window(rows.start) + 1) * window
            stop = min(starts[-1] + variant.reach(index.length), end_of_window)
        return starts, stop

    def _keys(self, place: Place) -> dict[str, str]:
        """Return what each feature at a place depends on; see `stages.features.cached.key`."""
        digest, (starts, stop) = self._digests[self.index.track_id[place.rows.start]], self._cut(place)
        return {
            name: cached.key(digest, starts, stop, self._settings_keys[place.variant, name])
            for name in self.features
        }

    def _computed(
        self, chunks: Iterable[Chunk], n_chunks: int, new: feature_file.NewFeatures
    ) -> Iterator[None]:
        """Compute and write chunks; this process writes where the workers do not share the files."""
        if _workers_share_files():
            work = partial(cached.compute_and_write, audio=self._audio, new=new)
            yield from ordered_map(work, chunks, n_chunks, "extract")
            return
        ours, theirs = tee(chunks)
        loaded = (cached.read(chunk, self._audio) for chunk in theirs)
        answers = ordered_map(cached.compute, loaded, n_chunks, "extract")
        for chunk, values in zip(ours, answers, strict=True):
            cached.write(chunk, values, new)
            yield


def _rows_by_key(places: Sequence[Place], keys: Sequence[Mapping[str, str]]) -> dict[str, Rows]:
    """Return which rows each key stands for."""
    return {
        key: Rows(feature_file.place_of(name, variant.name if variant else None), rows.start, rows.stop)
        for (variant, rows), of_place in zip(places, keys, strict=True)
        for name, key in of_place.items()
    }


def _workers_share_files() -> bool:
    return runtime().backend == "local"
