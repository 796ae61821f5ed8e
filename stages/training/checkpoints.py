"""The state of a training, kept in the work cache after every epoch, so that a killed one can resume.

Under ``.encore/checkpoints/`` each training has a folder named by its content key. It is there to save
time alone: if it cannot be written, or is missing or damaged, the training starts from the beginning.
"""

import hashlib
import io
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock, Timeout

from stages.core.workspace import flush, replaced, work_cache_path

DIGEST_BYTES = hashlib.sha256().digest_size
ABANDONED_S = 14 * 24 * 3600.0  # checkpoints that were not used for so long are deleted


class Checkpoint:
    """The checkpoint of one training: its state, and the weights of epochs that are to be kept.

    Within its ``with`` block it is locked: another process with the same training has no checkpoint.

    Parameters
    ----------
    content_key : str
        Hash of the training's inputs, parameters and code.
    is_first : bool
        False in all but the first of several processes that train together; these have no checkpoint.
    """

    def __init__(self, content_key: str, is_first: bool = True):
        self._folder = work_cache_path() / "checkpoints" / content_key
        self._lock = FileLock(self._folder / "lock", blocking=False)
        self._is_first = is_first

    def __enter__(self) -> "Checkpoint":
        if self._is_first:
            with suppress(Timeout, OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def run_id(self) -> str:
        """The MLflow run of this training; empty: none yet."""
        try:
            return (self._folder / "run_id").read_text("utf-8") if self._lock.is_locked else ""
        except (OSError, UnicodeDecodeError):
            return ""

    @property
    def run_note(self) -> Path | None:
        """The file for the id of that run; None: there is no checkpoint."""
        return self._folder / "run_id" if self._lock.is_locked else None

    def load(self) -> dict[str, Any] | None:
        """Return the state that was saved last; None if there is none."""
        return cast("dict[str, Any] | None", self._load("state"))

    def load_weights(self, epoch: int) -> dict[str, torch.Tensor] | None:
        """Return the kept weights of an epoch; None if there are none."""
        return cast("dict[str, torch.Tensor] | None", self._load(f"weights_{epoch}"))

    def save(self, state: dict[str, Any]) -> None:
        """Save `state`, which may hold numbers, strings, tensors, and lists and dicts of them."""
        self._save("state", state)

    def keep_weights(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Keep the weights of an epoch, until `forget` or `drop_weights`."""
        self._save(f"weights_{epoch}", weights)

    def drop_weights(self, epoch: int) -> None:
        """Delete the weights of an epoch."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._path(f"weights_{epoch}").unlink(missing_ok=True)

    def forget(self) -> None:
        """Delete this checkpoint, and those that were abandoned long ago."""
        if not self._lock.is_locked:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):
            for folder in self._folder.parent.iterdir():
                if time.time() - folder.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.pt"

    def _load(self, name: str) -> Any:
        if not self._lock.is_locked:
            return None
        try:
            content = self._path(name).read_bytes()
        except OSError:
            return None
        digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:  # torch reads damaged tensors without an error
            return None
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

    def _save(self, name: str, value: Any) -> None:
        if not self._lock.is_locked:
            return
        buffer = io.BytesIO()
        torch.save(value, buffer)
        content = buffer.getvalue()
        with suppress(OSError), replaced(self._path(name)) as unfinished:
            unfinished.write_bytes(hashlib.sha256(content).digest() + content)
            flush(unfinished)
