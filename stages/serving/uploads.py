"""What is sent to be heard: on the disk while it is heard, and gone afterwards."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import psutil
from fastapi import HTTPException, Request

from stages.core.workspace import work_cache

MOST_BYTES = 200_000_000
AT_ONCE = 16
BUSY_S = 2  # when to try again
IS_FORM = "the body is a form; send the content of a file, as `curl --data-binary @song.mp3`, without -F"


def busy(line: str, wait_s: int = BUSY_S) -> HTTPException:
    """Return the answer for what cannot be done at the moment; `wait_s`: when to try again."""
    return HTTPException(503, line, {"retry-after": str(wait_s)})


class Uploads:
    """Files that are being sent, and heard.

    Parameters
    ----------
    folder : Path
        Where they are; see `place`.
    """

    def __init__(self, folder: Path):
        self._folder, self._n = folder, 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Path]:
        """Yield a file with the body of a request, which is removed when the block ends.

        Raises
        ------
        HTTPException
            415 if the body is a form; 503 if too many are sent at once; 400 if there is no body; 507 if the
            disk is full; as `Guard` says if the body is too large or too slow.
        """
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            raise HTTPException(415, IS_FORM)
        if self._n >= AT_ONCE:
            raise busy(f"{AT_ONCE} files are being sent; try again in {BUSY_S} s")
        self._n += 1
        try:
            with NamedTemporaryFile(dir=self._folder) as file:
                try:
                    async for block in request.stream():
                        file.write(block)
                    file.flush()
                except OSError as error:
                    line = f"the server cannot keep it while it is heard: {error.strerror or error}"
                    raise HTTPException(507, line) from None
                if not file.tell():
                    line = "the body is empty; send the content of a file, as `curl --data-binary @song.mp3`"
                    raise HTTPException(400, line)
                yield Path(file.name)
        finally:
            self._n -= 1


@contextmanager
def place() -> Iterator[Path]:
    """Yield a folder for uploads, empty; it is removed afterwards, as are those that killed servers left."""
    above = work_cache("uploads")
    for left in above.iterdir():
        number = left.name.partition("-")[0]
        if not (number.isdigit() and psutil.pid_exists(int(number))):
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(prefix=f"{os.getpid()}-", dir=above) as folder:
        yield Path(folder)
