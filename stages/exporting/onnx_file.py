"""A trained model as one file of ONNX, which is compared with the model's own answers before it is kept."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError, in_one_line
from stages.core.workspace import replaced
from stages.exporting.network import WAVEFORM, Whole

SCHEMA = "encore-onnx/1"
PACKAGES = ("onnx", "onnx_ir", "onnxruntime", "onnxscript")
OUTPUTS = ("probability", "novelty")
TOLERANCE = 1e-4
BATCHES = (1, 2, 5)
LARGEST = 1 << 17  # values of a table that two parts of the network may share, such as a window


def missing_packages() -> list[str]:
    """Return which of the packages that this takes are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def write(
    whole: Whole, about: Mapping[str, str], signals: Sequence[NDArray[np.float32]], path: Path
) -> dict[str, float]:
    """Write the file, if what ONNX Runtime makes of it answers as the project does.

    Parameters
    ----------
    whole : Whole
    about : mapping of str to str
        For the file's metadata, beside what the model itself says.
    signals : sequence of ndarray of float32 (n, length)
        Segments to compare on.
    path : Path

    Returns
    -------
    dict of str to float
        Of each output, the largest difference.

    Raises
    ------
    EncoreError
        If a package is missing, or an answer differs by more than `TOLERANCE`; then no file is written.
    """
    if missing := missing_packages():
        raise EncoreError(
            f"an ONNX file takes {', '.join(missing)}, missing here; `make repro` installs them"
        )
    with replaced(path) as unfinished:
        _export(whole, {**described(whole), **about}, unfinished)
        difference = _compare(whole, np.concatenate(signals), unfinished)
        if not max(difference.values()) <= TOLERANCE:  # nan, too
            found = " and ".join(f"{name} by {value:.2g}" for name, value in difference.items())
            raise EncoreError(
                f"ONNX Runtime answers otherwise than the model, {found}, over {TOLERANCE:g}; "
                f"{path} is not written"
            )
    return difference


def described(whole: Whole) -> dict[str, str]:
    """Return what the file says of the model in its metadata; lists and tables are JSON."""
    about = whole.trained.description
    given = about.input
    seconds = f"{given.segment_length / given.sample_rate_hz:g} s"
    if whole.without_layer:
        what = {
            name: f"{given_as.dtype} (n, {', '.join(map(str, given_as.shape))}): the feature of each of n "
            f"segments of {seconds}, as features.h5 of Encore has it, not scaled"
            for name, given_as in whole.inputs.items()
        }
    else:
        what = {
            WAVEFORM: f"float32 (n, {given.segment_length}): n segments of {seconds}, mono, "
            f"{given.sample_rate_hz} Hz, full scale 1"
        }
    made = {
        "probability": f"float32 (n, {len(about.labels)}): of each label; their mean is that of a track",
        "novelty": "float32 (n,): distance to the nearest prototype, 0 to 2"
        if about.embedding_size
        else "float32 (n,): one minus the highest probability",
    }
    return {
        "schema": SCHEMA,
        "model": about.model,
        "labels": _json(about.labels),
        "sample_rate_hz": str(given.sample_rate_hz),
        "segment_samples": str(given.segment_length),
        "inputs": _json(what),
        "outputs": _json(made),
        "features": _json({name: _public(made) for name, made in given.settings.items()}),
        "content_key": about.content_key,
        "weights_sha256": about.weights_sha256,
    }


def _public(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a feature without where its file is on this machine."""
    return {key: value for key, value in made.items() if key != "path"}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _export(whole: Whole, about: Mapping[str, str], path: Path) -> None:
    import torch
    from onnx_ir.passes import Sequential, common

    # two, since the exporter takes a size of one for a constant
    examples = [torch.from_numpy(np.zeros((2, *given.shape), given.dtype)) for given in whole.inputs.values()]
    with _without_remarks(), _one_error(whole.trained.description.model):
        program = torch.onnx.export(
            whole.eval(),
            tuple(examples),
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=[*whole.inputs],
            output_names=[*OUTPUTS],
            dynamic_shapes={"given": tuple({0: "n"} for _ in examples)},
        )
    if program is None:
        raise RuntimeError("torch.onnx.export has made nothing")
    tidy = Sequential(
        common.DeduplicateInitializersPass(LARGEST),  # so that features share a spectrum
        common.CommonSubexpressionEliminationPass(),
        common.ClearMetadataAndDocStringPass(),  # places in the code, and paths of this machine
    )
    tidy(program.model)
    program.model.metadata_props.update(about)
    program.save(path, external_data=False)


@contextmanager
def _one_error(model: str) -> Iterator[None]:
    """Raise `EncoreError` if the exporter gives up, which it also does, in other words, on Ctrl-C."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            cause = cause.__cause__ or cause.__context__
        raise EncoreError(
            f"torch's exporter to ONNX cannot write {model}: {in_one_line(error)[:200]}"
        ) from None


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Hide the exporter's notes about optional packages and planned changes."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _compare(whole: Whole, segments: NDArray[np.float32], path: Path) -> dict[str, float]:
    """Return the largest difference of each output, over batches of several sizes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    given, expected = whole.given(segments), whole.expected(segments)
    largest = dict.fromkeys(OUTPUTS, 0.0)
    for rows in _batches(len(segments)):
        found = session.run([*OUTPUTS], {name: values[rows] for name, values in given.items()})
        for name, of_file, ours in zip(OUTPUTS, found, expected, strict=True):
            largest[name] = float(np.maximum(largest[name], np.abs(of_file - ours[rows]).max()))
    return largest


def _batches(n: int) -> Sequence[slice]:
    """Return rows that make batches of each of `BATCHES` in turn, until all are in one."""
    batches: list[slice] = []
    first = 0
    while first < n:
        size = BATCHES[len(batches) % len(BATCHES)]
        batches.append(slice(first, first + size))
        first += size
    return batches
