"""A real `encore serve` for tests: a process of its own, of a little model, in the module's workspace."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stages import baseline, decode, evaluate, extract, fetch, segment, split, train
from tests.synthetic import REPO, write_music, write_params

HERE = "/WHERE/IT/IS"  # in place of the folder, in what is copied
_MADE: dict[tuple[Any, ...], "TemporaryDirectory[str]"] = {}  # by what was asked for


def make_project(folder: Path, per_class: int = 6, swapped: Sequence[tuple[str, str]] = ()) -> Path:
    """Make a model of a little music in the current folder; return the music's. A segment lasts a second.

    Files that are `swapped`, such as blues/02.wav and rock/11.wav, have each other's music: wrong labels.
    What was made once is copied, for every other test file.
    """
    key = (per_class, *swapped)
    if key not in _MADE:
        _make(folder, per_class, swapped)
        _MADE[key] = TemporaryDirectory(prefix="encore-project-")
        shutil.copytree(folder, _MADE[key].name, dirs_exist_ok=True)
        params = Path(_MADE[key].name, "params.yaml")
        params.write_text(params.read_text("utf-8").replace(str(folder), HERE), "utf-8")
    else:
        shutil.copytree(_MADE[key].name, folder, dirs_exist_ok=True)
        params = folder / "params.yaml"
        params.write_text(params.read_text("utf-8").replace(HERE, str(folder)), "utf-8")
    return folder / "music"


def _make(folder: Path, per_class: int, swapped: Sequence[tuple[str, str]]) -> None:
    music = write_music(folder / "music", per_class)
    for one, other in swapped:
        first, second = music / one, music / other
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    write_params("dataset=folder", f"dataset.path={music}", "model=bare/mlp", "train.epochs=2")
    for stage in (fetch, decode, segment, split, extract, baseline, train, evaluate):
        stage.main()


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask it as `curl` would; a dict is sent as JSON."""
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {"content-type": "application/json", **headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def kill(self) -> None:
        """Have it die as by a power failure."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, *words: str, module: str = "stages.serve", **environment: str) -> Iterator[Server]:
    """Run `encore serve` in a project's folder, or another module of that kind."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(REPO),
            "DVC_ROOT": str(folder),
            "DISPLAY": "",
            "WAYLAND_DISPLAY": "",
            **environment,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address
        yield Server(process, int(address.rsplit(":")[-1].strip("/")))
    finally:
        process.terminate()
        process.wait(30)
