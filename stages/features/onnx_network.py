"""A network in an ONNX file that takes a waveform; the only module that uses ONNX Runtime."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import EncoreError, in_one_line

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
ERRORS_ONLY = 3  # of ONNX Runtime's levels of logging
FLOAT32 = "tensor(float)"
FLOATS = (FLOAT32, "tensor(float16)", "tensor(double)")


class Network:
    """A network that makes embeddings of waveforms, on one thread, since tracks run in parallel.

    It has one input, float32 (n, samples) at full scale 1, and one output: (n, n_values), or (n, n_frames,
    n_values).

    Parameters
    ----------
    path : Path
        The ONNX file, with its weights inside.

    Attributes
    ----------
    n_samples : int or None
        How many samples it takes; None: any number.
    n_values : int
        Of each embedding.
    has_frames : bool
        Whether a segment has several embeddings.
    sha256 : str
        Of the file.

    Raises
    ------
    EncoreError
        If the file cannot be read, or is no such network.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise EncoreError(
                "features.encoder takes onnxruntime, which is missing; `make repro` installs it"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        # weights in files of their own would be neither watched nor part of the SHA-256: they are not found
        options.add_session_config_entry(WEIGHTS_FOLDER, os.devnull)
        content = _read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            self._session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no base of their own
            reason = in_one_line(error)
            if "xternal data" in reason:
                reason = "its weights are in a file of their own; export it with external_data=False"
            raise EncoreError(f"{path}: no network that can be loaded: {reason}") from None
        given = self._only("input", self._session.get_inputs(), (FLOAT32,))
        made = self._only("output", self._session.get_outputs(), FLOATS)
        n, *samples = given.shape
        if len(samples) != 1 or (isinstance(n, int) and n != 1):
            raise self._other_form("input", given, "(n, samples), with any n or 1")
        if len(made.shape) not in (2, 3) or not isinstance(made.shape[-1], int):
            raise self._other_form(
                "output", made, "(n, values) or (n, frames, values), with a fixed number of values"
            )
        self.n_samples = samples[0] if isinstance(samples[0], int) else None
        self.n_values: int = made.shape[-1]
        self.has_frames = len(made.shape) == 3
        self._input: str = given.name

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embeddings (n_frames, n_values) of a segment (n_samples,); n_frames is 1 without frames.

        Raises
        ------
        EncoreError
            If the network fails for it.
        """
        try:
            (values,) = self._session.run(None, {self._input: samples[None]})
        except Exception as error:
            raise EncoreError(
                f"{self._path}: fails for a segment of {len(samples)} samples: {in_one_line(error)}"
            ) from None
        return np.asarray(values, np.float32).reshape(-1, self.n_values)

    def _only(self, what: str, nodes: list[Any], types: tuple[str, ...]) -> Any:
        if len(nodes) != 1:
            names = ", ".join(node.name for node in nodes)
            raise EncoreError(f"{self._path}: has {len(nodes)} {what}s, {names}; export it with one")
        if nodes[0].type not in types:
            raise EncoreError(f"{self._path}: its {what} is {nodes[0].type}; export it with {types[0]}")
        return nodes[0]

    def _other_form(self, what: str, node: Any, wanted: str) -> EncoreError:
        form = ", ".join(str(size) for size in node.shape)
        return EncoreError(f"{self._path}: its {what} has the form ({form}); export it with {wanted}")


@lru_cache(maxsize=1)
def load(path: Path, changed_ns: int) -> Network:
    """Return the network in a file that was last changed at `changed_ns`."""
    return Network(path)


@lru_cache(maxsize=8)
def n_frames(path: Path, changed_ns: int, n_samples: int) -> int:
    """Return how many embeddings that network makes of a segment; it is asked once, with silence."""
    return len(load(path, changed_ns)(np.zeros(n_samples, np.float32)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EncoreError(f"{path}: {error.strerror}") from None
