"""The vector of a file, by which it is compared with others: computed once, then in the work cache."""

import copy
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.audio.fingerprint import fingerprint
from stages.audio.params import AudioParams, RenderParams
from stages.audio.waveform import Sink
from stages.core.errors import EncoreError, did_you_mean
from stages.core.params import check, load, read
from stages.features.catalogue import CATALOGUE
from stages.features.params import FeaturesParams, build
from stages.features.segments import SegmentParams
from stages.features.writing import stored_as
from stages.inference.listening import Inputs, Segments, Several, listen, patience_s
from stages.inference.loaded import loaded
from stages.parallel.processes import Lost, isolated_map
from stages.storage import cache
from stages.storage.audio_file import at_full_scale
from stages.training.description import Description, ModelInput

# The packages whose version may change a vector.
PACKAGES = ("av", "librosa", "numpy", "pretty_midi", "scipy", "soundfile", "soxr", "tinysoundfont", "torch")
PRINTED_S = 600.0  # of a file's music have a fingerprint: it bounds the memory, and the size of an index

Sums = tuple[NDArray[np.float64], NDArray[np.float64], int]  # of vectors, of probabilities, and of how many


@dataclass(frozen=True)
class Method:
    """How the vector of a file is made, wherever and whenever that is.

    Attributes
    ----------
    input : ModelInput
        The features that are computed of each segment.
    rendering : RenderParams
        How MIDI files are played.
    model : str
        Folder of the model whose embedding it is; empty: it is the statistics of the features.
    name : str
        Class of that model.
    encoder : str
        Where the file of the feature encoder is; empty: where it was in the training.
    sha256 : str
        Of model.json, which names the SHA-256 of the weights.
    """

    input: ModelInput
    rendering: RenderParams
    model: str = ""
    name: str = ""
    encoder: str = ""
    sha256: str = ""

    @classmethod
    def of_model(cls, folder: Path, encoder: Path | None) -> "Method":
        """Return the one by the last layer of a model.

        Raises
        ------
        EncoreError
            If there is no such model, or it is of another schema.
        """
        about = Description.load(folder)
        sha256 = hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
        place = str(encoder.resolve()) if encoder else ""
        return cls(about.input, about.rendering, str(folder.resolve()), about.model, place, sha256)

    @classmethod
    def of_feature(cls, name: str) -> "Method":
        """Return the one by statistics over time of a feature, as params.yaml makes it.

        Raises
        ------
        EncoreError
            If there is no such feature, or its settings are wrong.
        """
        if name not in CATALOGUE:
            similar = did_you_mean(name, CATALOGUE)
            raise EncoreError(f"{name}: no feature{similar}; there are {', '.join(CATALOGUE)}")
        rate_hz = load("audio", AudioParams).sample_rate_hz
        length = round(load("segment", SegmentParams).length_s * rate_hz)
        params = check({**read("features"), "include": [name]}, FeaturesParams, "features")
        settings = stored_as(name, build(params, rate_hz, length)[name], params, length).settings
        about = ModelInput(
            feature=[name],
            settings={name: json.loads(json.dumps(dict(settings)))},  # as it will be read again
            sample_rate_hz=rate_hz,
            segment_length=length,
            variants=[],
            audio_sha256="",
            made_with="",
        )
        return cls(about, load("render", RenderParams))

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "Method":
        """Return what `document` has described."""
        made = {"input": ModelInput(**document["input"]), "rendering": RenderParams(**document["rendering"])}
        return cls(**{**document, **made})

    @property
    def document(self) -> dict[str, Any]:
        """It as plain values."""
        return {
            **{key: value for key, value in vars(self).items() if isinstance(value, str)},
            "input": self.input.model_dump(),
            "rendering": self.rendering.model_dump(),
        }

    @property
    def words(self) -> str:
        """What vectors are made of, for people."""
        if self.model:
            return f"the last layer of {self.name} ({self.model})"
        return f"statistics of {self.input.name}"

    def is_like(self, other: "Method") -> bool:
        """Whether both give the same vectors: by the same model, wherever it is, or the same settings."""
        if self.model and other.model:
            return self.sha256 == other.sha256
        return not (self.model or other.model) and (self.input, self.rendering) == (
            other.input,
            other.rendering,
        )


@dataclass(frozen=True)
class Embedded:
    """What is known of a file.

    Attributes
    ----------
    vector : ndarray of float32 (size,)
        Mean over the segments.
    genre : str
        What the model predicts; empty: there is none.
    digest : str
        SHA-256 of the waveform as float32: equal waveforms are copies.
    duration_s : float
    fingerprint : ndarray of uint32 (n_frames,)
        Of the first `PRINTED_S` of the music; see `stages.audio.fingerprint`.
    note : str
        What of the music in the file cannot be read, as a predicate; empty: nothing.
    """

    vector: NDArray[np.float32]
    genre: str
    digest: str
    duration_s: float
    fingerprint: NDArray[np.uint32]
    note: str


def embed_all(
    files: Sequence[tuple[Path, str]], method: Method, cache_gb: float, doing: str
) -> Iterator[Embedded | str]:
    """Yield what is known of each file, or a line that says why it cannot be used.

    Damaged files may kill or block the processes that read them, and cost no more than themselves. What is in
    the work cache is not computed again.

    Parameters
    ----------
    files : sequence of (Path, str)
        Each with the name that the lines call it.
    method : Method
    cache_gb : float
        See `stages.storage.cache.trim`.
    doing : str
        Name of the progress bar.

    Raises
    ------
    EncoreError
        If the model or a feature cannot be used.
    """
    Inputs(method.input, Path(method.encoder) if method.encoder else None)  # its errors are of no file
    code = cache.code_key("stages.inference.embedding", PACKAGES)
    compute = functools.partial(_embed_cached, method=method, code=code)
    with cache.bounded(cache_gb) as written:
        answers = isolated_map(compute, files, len(files), doing, patience_s(path for path, _ in files))
        for (_, name), answer in zip(files, answers, strict=True):
            if isinstance(answer, Lost):
                yield f"{name} {answer.reason}"
                continue
            if isinstance(answer, Embedded):
                written(answer.vector.nbytes + answer.fingerprint.nbytes)
            yield answer


def _embed_cached(file: tuple[Path, str], method: Method, code: str) -> Embedded | str:
    path, name = file
    try:
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return f"{name}: cannot be read: {error.strerror or error}"
    # libsndfile uses the name if the content leaves the format open; where the model is does not matter
    made_by = method.sha256 or [method.input.model_dump(), method.rendering.model_dump()]
    key = cache.entry_key(sha256, path.suffix.lower(), made_by, code)
    if found := cache.load(key, ["vector", "fingerprint"]):
        arrays, about = found
        return Embedded(vector=arrays["vector"], fingerprint=arrays["fingerprint"], **about)
    try:
        embedded = embed(path, name, method)
    except EncoreError as error:
        return str(error)
    arrays = {"vector": embedded.vector, "fingerprint": embedded.fingerprint}
    cache.save(key, arrays, {name: value for name, value in vars(embedded).items() if name not in arrays})
    return embedded


def embed(path: Path, name: str, method: Method, max_duration_s: float = float("inf")) -> Embedded:
    """Compute what is known of a file, in this process; nothing of it is kept.

    Parameters
    ----------
    path : Path
        Music in any format that the decode stage reads.
    name : str
        What errors call it.
    method : Method
    max_duration_s : float
        See `stages.inference.listening.listen`.

    Raises
    ------
    EncoreError
        If the file is shorter than one segment, or for a reason that `listen` names; or if the model or a
        feature cannot be used.
    """
    about = method.input
    inputs = Inputs(about, Path(method.encoder) if method.encoder else None)

    def sums(samples: NDArray[np.float32], starts: Sequence[int]) -> Sums:
        x = inputs.of(samples, starts)
        if not method.model:
            return x[:, :, 0].sum(axis=0, dtype=np.float64), np.zeros(0), len(x)
        heard = loaded(Path(method.model)).outputs(x)  # loaded when there is music: it takes a second
        return heard.embedding.sum(axis=0, dtype=np.float64), heard.probability.sum(axis=0), len(x)

    segments = Segments(about.segment_length, about.segment_length, sums)
    most = round(PRINTED_S * about.sample_rate_hz)
    both = Several(segments, _Print(most))
    info, sinks = listen(path, name, both, about.sample_rate_hz, method.rendering, max_duration_s)
    assert isinstance(sinks, Several)
    segments, prints = sinks.sinks  # type: ignore[assignment]
    assert isinstance(prints, _Print)
    of_blocks = segments.heard(name, about.sample_rate_hz)
    vector, probability, n_segments = (sum(parts) for parts in zip(*of_blocks, strict=True))
    return Embedded(
        vector=(vector / n_segments).astype(np.float32),
        genre=loaded(Path(method.model)).description.labels[int(probability.argmax())]
        if method.model
        else "",
        digest=prints.digest,
        duration_s=info.duration_s,
        fingerprint=fingerprint(prints.samples, about.sample_rate_hz),
        note=info.cut_short,
    )


class _Print(Sink):
    """Takes the digest of a waveform, and keeps its beginning for a fingerprint."""

    def __init__(self, most: int):
        self._most = most
        self._sha256 = hashlib.sha256()
        self._blocks: list[NDArray[np.float32]] = []

    @property
    def digest(self) -> str:
        return self._sha256.hexdigest()

    @property
    def samples(self) -> NDArray[np.float32]:
        return np.concatenate([np.empty(0, np.float32), *self._blocks])[: self._most]

    def add(self, samples: NDArray[Any]) -> None:
        block = np.ascontiguousarray(at_full_scale(samples))
        self._sha256.update(block.data)
        if sum(map(len, self._blocks)) < self._most:
            self._blocks.append(block)

    def leap(self) -> None:
        pass

    def copy(self) -> Self:
        other = copy.copy(self)
        other._sha256, other._blocks = self._sha256.copy(), [*self._blocks]
        return other
