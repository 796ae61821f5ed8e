"""The map on a Dask cluster: a real scheduler and real workers on this machine."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from stages.audio.fingerprint import fingerprint
from stages.core import numerics
from stages.core.errors import EncoreError
from stages.parallel import cluster
from stages.parallel.cluster import cluster_map
from stages.parallel.ordered import ordered_map
from stages.parallel.window import AHEAD
from tests.cluster import Cluster
from tests.synthetic import RATE_HZ, REPO, line_of, noise

pytestmark = pytest.mark.slow

MUSIC = [noise(5 * RATE_HZ, seed) for seed in range(4)] * 10
WORDS_OF = partial(fingerprint, sample_rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A cluster of two workers; the tests kill first one, then the other."""
    running = Cluster(tmp_path_factory.mktemp("two"), deaths=4)
    running.start_worker()
    running.start_worker()
    running.wait_for(2)
    yield running
    running.end()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A cluster in which each test starts and ends its workers."""
    running = Cluster(tmp_path_factory.mktemp("bare"), deaths=1)
    yield running
    running.end()


def mapped(function: Callable, items: Iterable, address: str) -> Iterator:
    return cluster_map(function, items, 0, "test", address)


def refusal(*arguments) -> str:
    return line_of(lambda: list(mapped(*arguments)))


class TestTwoWorkers:
    def test_results_are_the_same_bytes_in_the_same_order(self, two, workspace, capfd):
        common = "device: cpu, devices: 1, memory_gb: 4, workers: 2, tracking: off, cache_gb: 1"
        Path("params.yaml").write_text(f"runtime: {{{common}, backend: local, scheduler: null}}")
        here = list(ordered_map(WORDS_OF, iter(MUSIC), len(MUSIC), "test"))
        Path("params.yaml").write_text(f"runtime: {{{common}, backend: dask, scheduler: {two.address}}}")
        there = list(ordered_map(WORDS_OF, iter(MUSIC), len(MUSIC), "test"))
        assert [a.tobytes() for a in there] == [a.tobytes() for a in here]
        assert {a.dtype for a in there} == {np.dtype(np.uint32)}
        assert capfd.readouterr() == ("", "")

    def test_an_exception_of_the_function_is_raised_here(self, two):
        with pytest.raises(ZeroDivisionError):
            list(mapped(partial(divmod, 1), [3, 2, 1, 0, 1], two.address))

    def test_no_items_give_no_results(self, two):
        assert list(mapped(WORDS_OF, [], two.address)) == []

    def test_items_and_results_wait_for_a_slow_reader(self, two):
        taken = []
        results = mapped(WORDS_OF, (taken.append(n) or MUSIC[n % 4] for n in range(1000)), two.address)
        for _ in range(3):
            next(results)
        time.sleep(0.5)
        assert len(taken) == 2 + 2 * AHEAD
        results.close()

    def test_a_reader_may_stop_early(self, two, capfd, recwarn):
        results = mapped(WORDS_OF, MUSIC, two.address)
        next(results)
        results.close()
        assert capfd.readouterr() == ("", "")
        assert not recwarn.list

    def test_a_worker_killed_in_the_middle_changes_nothing(self, two, capfd):
        there = []
        for values in mapped(WORDS_OF, MUSIC, two.address):
            there.append(values)
            if len(there) == 5:
                two.end(two.processes[1])
        assert [a.tobytes() for a in there] == [WORDS_OF(samples).tobytes() for samples in MUSIC]
        assert capfd.readouterr() == ("", "")

    def test_one_worker_does_all_the_work(self, two):
        two.wait_for(1)
        processes = set(mapped(os.path.realpath, ["/proc/self"] * 3, two.address))
        assert processes == {f"/proc/{two.processes[2].pid}"}

    def test_a_cluster_without_workers_ends_the_map(self, two, monkeypatch, capfd):
        monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
        results = mapped(WORDS_OF, MUSIC, two.address)
        next(results)
        two.end(two.processes[2])
        line = line_of(lambda: list(results))
        assert f"the Dask cluster at {two.address} has shown no worker for 1 s; start workers" in line
        assert capfd.readouterr() == ("", "")


class TestRefusals:
    def test_no_scheduler_answers(self, monkeypatch, capfd):
        monkeypatch.setattr(cluster, "ANSWER_S", 0.5)
        with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts connections, but never answers
            address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
            assert f"no Dask scheduler answers at {address}" in refusal(WORDS_OF, MUSIC, address)
        assert f"no Dask scheduler answers at {address}" in refusal(WORDS_OF, MUSIC, address)
        assert capfd.readouterr() == ("", "")

    def test_a_cluster_without_workers(self, bare):
        assert "has no workers; start workers" in refusal(WORDS_OF, MUSIC, bare.address)

    def test_a_worker_without_the_project(self, bare, tmp_path):
        # as in another environment than the project's own, which knows where the project is
        (tmp_path / "stages.py").write_text("raise ModuleNotFoundError(\"No module named 'stages'\")")
        worker = bare.start_worker(tmp_path)
        bare.wait_for(1)
        line = refusal(WORDS_OF, MUSIC, bare.address)
        assert "cannot run this project (ModuleNotFoundError" in line
        assert f"python -m stages.worker {bare.address}" in line
        bare.end(worker)

    def test_a_worker_with_other_code(self, bare, tmp_path):
        """A worker compares the code that it has loaded, even if its files change later."""
        shutil.copytree(REPO / "stages", tmp_path / "stages")
        changing = tmp_path / "stages/audio/fingerprint.py"
        bare.wait_for(0)
        unchanged = bare.start_worker(tmp_path)
        bare.wait_for(1)
        results = mapped(WORDS_OF, itertools.cycle(MUSIC), bare.address)
        next(results)
        changing.write_text(changing.read_text().replace("N_BANDS = 33", "N_BANDS = 32"))
        changed = bare.start_worker(tmp_path)
        with pytest.raises(EncoreError, match="has other code than this process"):
            all(len(words) for words in results)
        assert "has other code than this process" in refusal(WORDS_OF, MUSIC, bare.address)
        bare.end(changed)
        bare.wait_for(1)
        assert len(list(mapped(WORDS_OF, MUSIC, bare.address))) == len(MUSIC)
        assert unchanged.poll() is None

    @pytest.mark.skipif(numerics.kernels() != "pinned", reason="this machine has no kernels to pin")
    def test_a_worker_with_other_kernels_and_the_command_that_mends_it(self, bare):
        bare.end(*bare.processes[1:])
        bare.wait_for(0)
        worker = bare.start_worker(OPENBLAS_CORETYPE="Prescott")
        bare.wait_for(1)
        line = refusal(WORDS_OF, MUSIC, bare.address)
        assert "computes with numpy's kernels of this machine, this process with those pinned" in line
        bare.end(worker)
        bare.wait_for(0)
        others = {key: value for key, value in os.environ.items() if key not in numerics.OF_NUMPY}
        command = [sys.executable, "-m", "stages.worker", bare.address, "--nthreads", "1", "--no-dashboard"]
        mended = subprocess.Popen([*command, "--no-nanny"], cwd=REPO, env=others, stderr=subprocess.DEVNULL)
        bare.wait_for(1)
        assert len(list(mapped(WORDS_OF, MUSIC, bare.address))) == len(MUSIC)
        bare.processes.append(mended)

    def test_an_item_that_kills_its_workers(self, bare):
        bare.wait_for(1)
        line = refusal(os._exit, [9], bare.address)
        assert "a track has ended each Dask worker that took it, last tcp://127.0.0.1:" in line

    def test_a_scheduler_that_goes_away(self, bare, caplog):
        bare.wait_for(0)
        bare.start_worker()
        bare.wait_for(1)
        results = mapped(WORDS_OF, MUSIC, bare.address)
        next(results)
        bare.end(bare.scheduler)
        assert "went away; run again when it is back" in line_of(lambda: list(results))
        assert not caplog.records
