"""What the routes of the server share: the model that is asked, and the processes that ask it."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from stages.asking.options import Chosen
from stages.core.errors import some
from stages.inference.origin import METRICS
from stages.parallel.processes import Lost
from stages.parallel.service import Service
from stages.serving import hearing
from stages.serving.library import PreparedLibrary
from stages.serving.music import Music, tables
from stages.serving.playing import Decoded
from stages.serving.started_with import StartedWith
from stages.serving.uploads import Uploads, busy
from stages.training.description import Description

TIMEOUT_S = 120.0  # for a question
WAITING = 8  # questions, at most, beside those that are being answered
FORGOTTEN_S = (2 + WAITING) * TIMEOUT_S  # one process needs less for all of them


class Site:
    """A model and the processes that ask it.

    Parameters
    ----------
    model : Chosen
    reviewer : str
        Whose verdicts are taken.
    folder : Path
        For files that are sent, and those that are made to be played.

    Attributes
    ----------
    about : Description
    threshold, origin
        See `Chosen`; as they were at the start.
    version : str
        The model's class and the start of the SHA-256 of its model.json, which names that of the weights.
    music : Music
    uploads : Uploads
    decoded : Decoded
    started_with : StartedWith
        The model, its evaluation and the list of tracks.
    library : PreparedLibrary
        All music of the project, as soon as it was heard.

    Raises
    ------
    EncoreError
        If the model cannot be used, or a table of the dataset is damaged.
    """

    def __init__(self, model: Chosen, reviewer: str, folder: Path):
        self.model, self.reviewer = model, reviewer
        metrics = model.metrics or model.folder.parent / "evaluation" / METRICS
        self.started_with = StartedWith([model.folder / "model.json", *tables(metrics)])
        self.about = Description.load(model.folder)
        self.threshold, self.origin = model.threshold, model.origin
        sha256 = hashlib.sha256((model.folder / "model.json").read_bytes()).hexdigest()
        self.version = f"{self.about.model} {sha256[:8]}"
        self.music = Music(model.metrics)
        self.uploads, self.decoded = Uploads(folder), Decoded(folder)
        self._service = Service(hearing.LOADED, TIMEOUT_S)
        self._n = 0
        self.library = PreparedLibrary(model.folder, model.encoder)
        self.library.start()
        # the first process is there when torch is loaded; the page need not wait for it
        Thread(target=self._warm_up, daemon=True).start()

    @property
    def stale(self) -> str:
        """Why the server has to be started again, in a line; empty: it has not."""
        if not (changed := self.started_with.changed()):
            return ""
        names = some([str(path) for path in changed])
        return f"{names}: not what this server was started with; end it, and start `encore serve` again"

    def assert_current(self) -> None:
        """Raise `HTTPException` 409 if `stale`: no answer is of two models, no verdict on an old label."""
        if line := self.stale:
            raise HTTPException(409, line)

    async def ask_model(self, function: Callable[..., Any], path: Path, *words: Any) -> Any:
        """Return ``function(path, model, encoder, *words)`` of the model; see `ask`.

        Raises
        ------
        HTTPException
            409 if the model is not the one that the server was started with; else as `ask`.
        EncoreError
            If the file cannot be used.
        """
        await run_in_threadpool(self.assert_current)
        found = await self.ask(function, path, self.model.folder, self.model.encoder, *words)
        await run_in_threadpool(self.assert_current)  # a process may have read another one meanwhile
        return found

    async def ask(self, function: Callable[..., Any], *words: Any) -> Any:
        """Return ``function(*words)``, as one of the processes computes it.

        Raises
        ------
        HTTPException
            503 if too many questions are waiting; 422 if its file kills or blocks the process, or takes too
            much memory.
        EncoreError
            If the file cannot be used.
        """
        if self._n >= self._service.n_workers + WAITING:
            raise busy("too many questions are waiting; try again in a moment")
        self._n += 1
        try:
            async with asyncio.timeout(FORGOTTEN_S):
                answer = await asyncio.wrap_future(
                    await run_in_threadpool(self._service.ask, function, *words)
                )
        except TimeoutError:  # a process may die in the middle of a word to this one, which nothing notices
            self._service.renew()
            raise busy("the answer has been lost; try again") from None
        except MemoryError:
            raise HTTPException(422, "it takes more memory than a file may") from None
        finally:
            self._n -= 1
        if isinstance(answer, Lost):
            raise HTTPException(422, f"it {answer.reason}")
        return answer

    def _warm_up(self) -> None:
        for _ in range(self._service.n_workers):
            self._service.ask(hearing.warm_up, self.model.folder, self.model.encoder)

    def close(self) -> None:
        """End the processes."""
        self.library.stop()
        self._service.stop()


def site_of(request: Request) -> Site:
    """Return the site that a request is for."""
    site: Site = request.app.state.site
    return site
