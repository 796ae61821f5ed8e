"""Batches from memory and from a file are the same, and an epoch has every segment once."""

import numpy as np
import pytest
import torch

from stages.training import batches
from stages.training.batches import Batches, Resident, Streamed, forward_size, windows

SHAPE = (3, 4)
SEGMENT_BYTES = 4 * 12


def values(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return segments whose values are their number, and labels."""
    x = torch.arange(n, dtype=torch.float32)[:, None, None].expand(n, *SHAPE).contiguous()
    return x, torch.arange(n) % 3


def both(n: int) -> tuple[Resident, Streamed]:
    x, label = values(n)

    def read(rows: np.ndarray) -> torch.Tensor:
        assert (np.diff(rows) > 0).all(), "a file is read in ascending order"
        return x[torch.from_numpy(rows)]

    return Resident(x, label), Streamed(read, label, SEGMENT_BYTES, torch.device("cpu"))


@pytest.fixture(params=["one window", "several windows"])
def _windows(request, monkeypatch):
    if request.param == "several windows":
        monkeypatch.setattr(batches, "WINDOW_BYTES", 20 * SEGMENT_BYTES)
        monkeypatch.setattr(batches, "CHUNK", 4)


def all_of(given) -> list[tuple[list[float], list[int]]]:
    """Return numbers and labels of segments, batch by batch."""
    found = []
    for x, label in given:
        assert (x == x[:, :1, :1]).all()
        found.append((x[:, 0, 0].tolist(), label.tolist()))
    return found


@pytest.mark.usefixtures("_windows")
@pytest.mark.parametrize(("n", "size"), [(1, 8), (8, 8), (9, 8), (65, 8), (101, 7), (50, 1)])
class TestBoth:
    """Data in memory and data in a file."""

    def order(self, n: int, size: int, epoch: int = 1) -> list[np.ndarray]:
        return windows(n, SEGMENT_BYTES, size, [0, epoch])

    def test_both_give_the_same_batches(self, n, size):
        resident, streamed = both(n)
        for epoch in (1, 2, 3):
            order = self.order(n, size, epoch)
            for (x, label), (other, same) in zip(
                resident.shuffled(order, size), streamed.shuffled(order, size), strict=True
            ):
                assert torch.equal(x, other)
                assert torch.equal(label, same)
                assert label.dtype == same.dtype == torch.int64

    def test_epoch_has_every_segment_once_with_its_label(self, n, size):
        for data in both(n):
            found = all_of(data.shuffled(self.order(n, size), size))
            segments = [int(number) for numbers, _ in found for number in numbers]
            labels = [label for _, some in found for label in some]
            assert sorted(segments) == list(range(n))
            assert labels == [number % 3 for number in segments]

    def test_only_the_last_batch_differs_in_size_and_none_is_single(self, n, size):
        for data in both(n):
            sizes = [len(label) for _, label in data.shuffled(self.order(n, size), size)]
            assert sizes[:-1] == [size] * (len(sizes) - 1)
            assert sum(sizes) == n
            assert n == 1 or size == 1 or 2 <= sizes[-1] <= size + 1

    def test_batches_are_in_the_order_of_the_windows(self, n, size):
        order = self.order(n, size)
        for data in both(n):
            found = [number for numbers, _ in all_of(data.shuffled(order, size)) for number in numbers]
            assert found == np.concatenate(order).tolist()


@pytest.mark.parametrize("size", [1, 5, 100])
def test_in_order_gives_ordered_blocks(monkeypatch, size):
    monkeypatch.setattr(batches, "FORWARD_BYTES", size * SEGMENT_BYTES)
    for data in both(23):
        found = all_of(data.in_order())
        assert [number for numbers, _ in found for number in numbers] == list(range(23))
        assert [label for _, some in found for label in some] == [number % 3 for number in range(23)]
        assert max(len(some) for _, some in found) == min(size, 23)


def test_large_segment_has_its_own_forward_pass():
    assert forward_size(batches.FORWARD_BYTES + 1) == 1
    assert forward_size(batches.FORWARD_BYTES) == 1
    assert forward_size(batches.FORWARD_BYTES // 4) == 4


def test_both_have_a_size():
    data: Batches
    for data in both(23):
        assert len(data) == 23
        assert data.segment_bytes == SEGMENT_BYTES
    codes = Resident(torch.zeros(5, 3, 4, dtype=torch.uint8), torch.zeros(5, dtype=torch.int64))
    assert codes.segment_bytes == 12


class TestStreamed:
    """Data in a file."""

    def test_one_window_is_read_ahead(self, monkeypatch):
        monkeypatch.setattr(batches, "WINDOW_BYTES", 10 * SEGMENT_BYTES)
        x, label = values(100)
        read = []

        def reading(rows: np.ndarray) -> torch.Tensor:
            read.append(rows)
            return x[torch.from_numpy(rows)]

        streamed = Streamed(reading, label, SEGMENT_BYTES, torch.device("cpu"))
        order = windows(100, SEGMENT_BYTES, 5, [0, 1])
        assert len(order) == 10
        for i, _ in enumerate(streamed.shuffled(order, 5)):
            assert len(read) <= i // 2 + 2
        assert [len(rows) for rows in read] == [10] * 10

    def test_read_error_is_raised_in_the_caller(self):
        def broken(rows: np.ndarray) -> torch.Tensor:
            raise OSError("disk gone")

        streamed = Streamed(broken, torch.zeros(9, dtype=torch.int64), SEGMENT_BYTES, torch.device("cpu"))
        with pytest.raises(OSError, match="disk gone"):
            list(streamed.in_order())
        with pytest.raises(OSError, match="disk gone"):
            list(streamed.shuffled(windows(9, SEGMENT_BYTES, 4, [0]), 4))

    def test_stopping_early_ends_the_reader_thread(self):
        import threading

        before = threading.active_count()
        _, streamed = both(50)
        for _ in streamed.in_order():
            break
        iterator = streamed.shuffled(windows(50, SEGMENT_BYTES, 4, [0]), 4)
        next(iterator)
        iterator.close()
        assert threading.active_count() == before


class TestWindows:
    """The order of an epoch."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(batches, "WINDOW_BYTES", 1000)
        monkeypatch.setattr(batches, "CHUNK", 8)

    @pytest.mark.parametrize("n", [1, 2, 101, 1003])
    @pytest.mark.parametrize(("size", "segment_bytes"), [(1, 30), (7, 10), (10, 1), (64, 30), (150, 5000)])
    def test_windows_are_a_permutation_in_whole_batches(self, n, size, segment_bytes):
        order = windows(n, segment_bytes, size, [0, 1])
        assert sorted(np.concatenate(order).tolist()) == list(range(n))
        assert all(len(window) % size == 0 for window in order[:-1])
        assert all(len(window) for window in order)
        assert {window.dtype for window in order} == {np.dtype(np.int64)}
        fits = max(size * segment_bytes, 1000)
        assert all(len(window) * segment_bytes <= fits for window in order[:-1])
        assert (len(order[-1]) - 1) * segment_bytes <= fits, "no window of one segment"
        if -(-n // size) * size * segment_bytes <= 1000:  # in whole batches
            assert len(order) == 1

    def test_order_follows_from_the_seed(self):
        for n in (50, 1000):
            first, again = (np.concatenate(windows(n, 10, 5, [3, 1])) for _ in range(2))
            assert np.array_equal(first, again)
            for other in ([3, 2], [4, 1]):
                assert not np.array_equal(np.concatenate(windows(n, 10, 5, other)), first)

    def test_window_mixes_chunks_from_all_over_the_data(self):
        order = windows(2000, 10, 5, [0, 1])
        assert len(order) == 20
        for window in order:
            chunks = set((window // 8).tolist())
            assert len(chunks) <= 100 // 8 + 2, "neighbours are read together"
            assert max(window) - min(window) > 1000, "only from one end of the data"
            steps = np.diff(window)
            assert (steps == 1).mean() < 0.2, "segments are in the order of the file"
            assert len(set((window[:20] // 8).tolist())) > 6, "a batch has only one or two chunks"

    def test_every_pair_of_chunks_shares_a_window_sometime(self):
        met = np.zeros((25, 25), bool)
        for epoch in range(60):
            for window in windows(200, 10, 5, [0, epoch]):
                chunks = np.unique(window // 8)
                met[np.ix_(chunks, chunks)] = True
        assert met.all()

    def test_small_data_is_shuffled_uniformly(self):
        """Each segment is equally often in each place."""
        places = np.zeros((10, 10))
        for epoch in range(2000):
            (order,) = windows(10, 10, 3, [0, epoch])
            places[np.arange(10), order] += 1
        assert abs(places - 200).max() < 5 * np.sqrt(200 * 0.9)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_data_up_to_the_window_size_is_one_window(monkeypatch, size):
    monkeypatch.setattr(batches, "WINDOW_BYTES", 100 * SEGMENT_BYTES)
    assert len(windows(100, SEGMENT_BYTES, size, [0])) == 1
