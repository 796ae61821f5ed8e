"""Many clients of `encore serve` at once: is every answer right, and does memory stay?

``python -m tests.campaigns.serve_load FOLDER [--seconds 60] [--clients 10]``; FOLDER is a project with an
evaluated model. Each question is first asked alone; later answers must be the same, or 503 with Retry-After,
and then the client waits as long as it is told.
"""

import argparse
import http.client
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import psutil

from tests.campaigns.prediction import anonymous
from tests.serving import Answer, Server, serving

N_TRACKS = 4
N_ALONE = 5  # for the time of an answer that has the machine for itself
GROWTH_MB = 15.0  # of a process, from the end of the first third on: freed memory is kept for the next file
FILES = 8  # open files more than at the start, at most
MAP_S = 300.0


@dataclass(frozen=True)
class Question:
    """What a client may ask."""

    kind: str
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """What was seen."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory_mb: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    n_open: list[int] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, question: Question, right: Answer, answer: Answer, before_s: float, took_s: float) -> None:
        """Compare an answer with the right one."""
        self.statuses[answer.status] += 1
        if answer.status == 503:
            return
        self.seconds[question.kind].append(took_s)
        self.seconds[f"{question.kind}, with waiting"].append(before_s + took_s)
        if (answer.status, answer.body) != (right.status, right.body):
            what = f"{answer.status}, {len(answer.body)} bytes, not those of the first answer"
            self.problems.append(f"{question.path}: {what}")


def main() -> None:
    """Print what happened, and end with 1 if something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=10)
    options = parser.parse_args()
    report = load(options.folder.resolve(), options.seconds, options.clients)
    sys.exit(1 if report.problems else 0)


def load(folder: Path, seconds: float, n_clients: int) -> Report:
    """Serve a project, ask it for so long, and say what was seen."""
    started = time.monotonic()
    report = Report()
    with serving(folder, "--quiet") as server:
        ready_s = time.monotonic() - started
        asked = _questions(server, folder)
        first_s, alone_s = _alone(server, asked[0])
        print(f"ready after {ready_s:.1f} s; {asked[0].kind}: first {first_s:.2f} s, later {alone_s:.2f} s")
        wanted = [(question, ask(server, question)) for question in asked]
        for question, answer in wanted:
            if answer.status not in (200, 206):
                report.problems.append(f"{question.path}: {answer.status} {answer.body[:200]!r}, asked alone")
        _load(server, wanted, seconds, n_clients, report)
    uploads = folder / ".encore/uploads"
    report.left = [path for path in uploads.rglob("*") if path.is_file()] if uploads.is_dir() else []
    if report.left:
        report.problems.append(f"{len(report.left)} files are left, such as {report.left[0]}")
    _say(report, seconds, n_clients)
    return report


def ask(server: Server, question: Question) -> Answer:
    """Return the answer to a question, whatever it is."""
    return server.ask(question.method, question.path, question.body, **question.headers)


def _questions(server: Server, folder: Path) -> list[Question]:
    paths = server.get("/openapi.json").json["paths"]
    tracks = server.get(f"/tracks?limit={N_TRACKS}").json["tracks"]
    music = folder / "data/raw/music"
    found: list[Question] = []
    for track in tracks:
        content = (music / track["name"]).read_bytes()
        address = f"/tracks/{track['id']}"
        found += [
            Question("predict over time", "POST", "/predict?over_time=true", content),
            Question("predict", "POST", "/predict?name=a", content),
            Question("audio", "GET", f"{address}/audio"),
            Question("range of audio", "GET", f"{address}/audio", headers={"range": "bytes=1000-200000"}),
            Question("track over time", "GET", f"{address}/over-time"),
        ]
        if "/similar" in paths:
            found.append(Question("similar", "POST", "/similar?k=5", content))
    found.append(Question("tracks", "GET", "/tracks"))
    if "/map" in paths:
        until = time.monotonic() + MAP_S
        while (state := server.get("/map").json["state"]) == "running" and time.monotonic() < until:
            time.sleep(0.5)
        if state == "ready":
            found.append(Question("map", "GET", "/map"))
    return found


def _alone(server: Server, question: Question) -> tuple[float, float]:
    """Return how long a first answer takes, and one of later ones."""
    took = []
    for _ in range(1 + N_ALONE):
        start = time.monotonic()
        ask(server, question)
        took.append(time.monotonic() - start)
    return took[0], float(np.median(took[1:]))


def _load(
    server: Server, wanted: Sequence[tuple[Question, Answer]], seconds: float, n_clients: int, report: Report
) -> None:
    own = psutil.Process(server.process.pid)
    start = time.monotonic()
    until = start + seconds
    lock = threading.Lock()

    def client(number: int) -> None:
        chance = Random(number)
        while time.monotonic() < until:
            question, right = chance.choice(wanted)
            for before_s, took_s, answer in _patient(server, question):
                with lock:
                    report.add(question, right, answer, before_s, took_s)

    def measure() -> None:
        at = time.monotonic() - start
        for process in (own, *own.children(recursive=True)):
            if size := anonymous(process.pid):
                report.memory_mb[process.pid].append((at, size / 1e6))
        report.n_open.append(own.num_fds())

    clients = [threading.Thread(target=client, args=[number]) for number in range(n_clients)]
    measure()
    for thread in clients:
        thread.start()
    while any(thread.is_alive() for thread in clients):
        time.sleep(min(1.0, seconds / 10))
        measure()
    time.sleep(1.0)  # for connections to be closed
    measure()
    _judge(report, own.pid)


def _patient(server: Server, question: Question) -> Iterator[tuple[float, float, Answer]]:
    """Yield each answer, with the seconds that passed before and that it took, up to one that is not 503."""
    first = time.monotonic()
    while True:
        start = time.monotonic()
        try:
            answer = ask(server, question)
        except (OSError, http.client.HTTPException) as error:
            answer = Answer(0, http.client.HTTPMessage(), repr(error).encode())
        yield start - first, time.monotonic() - start, answer
        if answer.status != 503:
            return
        time.sleep(float(answer.headers["retry-after"]))


def _judge(report: Report, pid: int) -> None:
    """Add what is wrong with memory and open files."""
    for process, seen in report.memory_mb.items():
        growth = seen[-1][1] - seen[len(seen) // 3][1]
        if growth > GROWTH_MB:
            what = "server" if process == pid else "process"
            report.problems.append(f"the {what} {process} has grown by {growth:.0f} MB")
    if report.n_open[-1] > report.n_open[0] + FILES:
        report.problems.append(f"{report.n_open[-1]} files are open, {report.n_open[0]} were at the start")


def _say(report: Report, seconds: float, n_clients: int) -> None:
    n = report.statuses.total()
    by_status = ", ".join(f"{number} of {status}" for status, number in sorted(report.statuses.items()))
    print(f"{n_clients} clients, {seconds:g} s: {n} answers ({by_status})")
    for kind, took in sorted(report.seconds.items()):
        p50, p95, p99 = np.percentile(took, [50, 95, 99])
        print(f"  {kind}: {len(took)}; p50 {p50:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s")
    for process, seen in report.memory_mb.items():
        at, size = np.array(seen).T
        later = slice(len(seen) // 3, None)
        trend = 60 * np.polyfit(at[later], size[later], 1)[0] if len(at[later]) > 1 else 0.0
        print(
            f"  process {process}: {size[0]:.0f} MB at the start, {size[len(size) // 2]:.0f} in the middle, "
            f"{size[-1]:.0f} at the end; after the first third {trend:+.1f} MB a minute"
        )
    first, most, last = report.n_open[0], max(report.n_open), report.n_open[-1]
    print(f"  open files: {first} at the start, at most {most}, {last} at the end")
    print(f"  files left: {len(report.left)}")
    for problem, number in Counter(report.problems).most_common():
        print(f"WRONG ({number} times): {problem}")


if __name__ == "__main__":
    main()
