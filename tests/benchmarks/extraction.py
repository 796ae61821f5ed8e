"""From music files to features in HDF5, against librosa's functions one by one for each segment."""

import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import librosa
import numpy as np
import soundfile
import soxr
from joblib import Parallel, delayed

from stages import decode, extract, segment
from stages.audio import files
from stages.core.params import check, load
from stages.core.tables import Segment, read_rows
from stages.features import cached, catalogue, extraction
from stages.features.params import FeaturesParams, build
from stages.features.variants import Variant
from stages.features.writing import stored_as
from stages.parallel.ordered import ordered_map
from stages.parallel.processes import prepare
from stages.storage import audio_file, feature_file
from tests.benchmarks.peers import Peer, installed
from tests.benchmarks.timing import compare
from tests.benchmarks.workspace import configure, forget, music, quietly
from tests.synthetic import composed_sections, noise

Values = dict[str, np.ndarray]


def run() -> None:
    """Time all ways in turn, in one run."""
    warnings.filterwarnings("ignore", module="librosa")
    # the stages' processes do it while they start, which is not timed here
    prepare([*files.WORKERS_LOAD, *extraction.WORKERS_LOAD])
    with music() as paths:
        ways = Ways(paths)
        compare(
            "mel and MFCC, from files to HDF5",
            {
                "decode, extract, write, 2 workers": ways.straight,
                "floor: decode, transform, 2 threads": ways.floor,
                "stages, verdicts and cache, 2 workers": ways.stages,
                "librosa for each segment": ways.librosa_mel_and_mfcc,
                **ways.of_peers(),
            },
            3,
            ways.music_s(),
        )
        configure("features.include=[timbre33]")
        ways = Ways(paths)
        compare(
            "timbre33, from files to HDF5",
            {
                "decode, extract, write, 2 workers": ways.straight,
                "librosa, four STFTs a segment": ways.librosa_timbre33,
            },
            3,
            ways.music_s(),
        )
        variants()


def variants() -> None:
    """Time the features of one track as it is, and of its variants, on one thread."""
    rate_hz, length = 22050, 3 * 22050
    starts, samples = range(0, 10 * length, length), noise(10 * length)
    params = check(composed_sections("model=bare/mlp")["features"], FeaturesParams, "features")
    built = build(params, rate_hz, length)

    def of(variant: Variant | None) -> Callable[[], object]:
        chunk = cached.Chunk(0, 0, starts, len(samples), length, variant, built)
        return lambda: cached.compute(cached.LoadedChunk(chunk, samples))

    asked = [("pitch_shift", 2.0), ("pitch_shift", -2.0), ("time_stretch", 1.1), ("time_stretch", 0.9)]
    made = [Variant(kind, amount) for kind, amount in asked]
    ways = {"as it is": of(None), **{variant.name: of(variant) for variant in made}}
    compare("mel and MFCC of a track of 30 s, 1 thread", ways, 9, 30.0)


class Ways:
    """Ways from the same files to the same features, those of ./params.yaml."""

    def __init__(self, files: list[Path]):
        params = load("features", FeaturesParams)
        self.files = files
        self.rate_hz = audio_file.read_sample_rate_hz(Path("data/audio/audio.h5"))
        first = read_rows(Path("data/segments/segments.csv"), Segment)[0]
        self.length = first.stop - first.start
        self.features = build(params, self.rate_hz, self.length)
        self.arrays = {
            name: stored_as(name, feature, params, self.length) for name, feature in self.features.items()
        }

    def music_s(self) -> float:
        """How long all the music lasts."""
        return sum(soundfile.info(path).duration for path in self.files)

    def straight(self) -> None:
        """The parts that the stages decode and extract are made of, and nothing else."""
        results = list(ordered_map(self.of_file, self.files, len(self.files), "extract"))
        n_segments = sum(len(next(iter(values.values()))) for values in results)
        table = feature_file.SegmentTable(
            [""] * n_segments, [0] * n_segments, [0] * n_segments, [""] * n_segments
        )
        file = feature_file.create_features(
            Path("straight.h5"), feature_file.Contents(self.arrays, table, {})
        )
        first = 0
        for values in results:
            file.write(first, values)
            first += len(next(iter(values.values())))

    def of_file(self, path: Path) -> Values:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        mono = mono if rate_hz == self.rate_hz else soxr.resample(mono, rate_hz, self.rate_hz)
        return catalogue.extract(mono, self.starts(mono), self.length, self.features)

    def starts(self, samples: np.ndarray) -> list[int]:
        return list(range(0, max(1, len(samples) - self.length + 1), self.length))

    def floor(self) -> None:
        Parallel(n_jobs=2, prefer="threads")(delayed(self.of_file)(path) for path in self.files)

    def stages(self) -> None:
        """Also fingerprints, verdicts, the waveforms as a file, and everything kept in the work cache."""
        forget()
        quietly(decode.main, segment.main, extract.main)

    def librosa_mel_and_mfcc(self) -> None:
        def of_segment(y: np.ndarray) -> Values:
            mel = librosa.feature.melspectrogram(y=y, sr=self.rate_hz)
            mfcc = librosa.feature.mfcc(y=y, sr=self.rate_hz, n_mfcc=13)
            return {"mel": librosa.power_to_db(mel), "mfcc": mfcc}

        self.write(of_segment(y) for y in self.segments())

    def librosa_timbre33(self) -> None:
        def of_segment(y: np.ndarray) -> Values:
            parts = [
                librosa.feature.mfcc(y=y, sr=self.rate_hz, n_mfcc=13),
                librosa.feature.spectral_centroid(y=y, sr=self.rate_hz),
                librosa.feature.chroma_stft(y=y, sr=self.rate_hz, tuning=0.0),
                librosa.feature.spectral_contrast(y=y, sr=self.rate_hz),
            ]
            return {"timbre33": np.concatenate(parts)}

        self.write(of_segment(y) for y in self.segments())

    def of_peers(self) -> dict[str, Callable[[], None]]:
        """Other libraries, a track at a time."""
        peers = installed(self.rate_hz) if os.environ.get("BENCH_PEERS") else {}
        return {name: partial(self.of_peer, peer) for name, peer in peers.items()}

    def of_peer(self, compute: Peer) -> None:
        def of_tracks() -> Iterator[Values]:
            for path in self.files:
                samples, _ = librosa.load(path, sr=self.rate_hz)
                starts = self.starts(samples)
                yield compute(np.stack([samples[start : start + self.length] for start in starts]))

        self.write(
            {name: values[i] for name, values in track.items()}
            for track in of_tracks()
            for i in range(len(track["mel"]))
        )

    def segments(self) -> Iterator[np.ndarray]:
        for path in self.files:
            samples, _ = librosa.load(path, sr=self.rate_hz)
            yield from (samples[start : start + self.length] for start in self.starts(samples))

    def write(self, segments: Iterator[Values]) -> None:
        results = list(segments)
        with h5py.File("librosa.h5", "w") as file:
            for name in results[0]:
                file[name] = np.stack([values[name] for values in results])
