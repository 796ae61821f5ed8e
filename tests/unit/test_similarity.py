"""The search is exact, its order depends on nothing but the vectors, and precision is counted as said."""

from fractions import Fraction

import numpy as np
import pytest

from stages.evaluation.retrieval import ALLOWED, AT, REMOVED, Vectors, at_5, means_by_track, retrieval
from stages.similarity import nearest as searching
from stages.similarity.nearest import NOBODY, nearest
from stages.similarity.vectors import Scale

SIZE = 24


def unit_vectors(n: int, seed: int = 0) -> np.ndarray:
    return Scale(np.zeros(SIZE), np.ones(SIZE)).unit(np.random.default_rng(seed).normal(size=(n, SIZE)))


def cut(vectors: np.ndarray, size: int):
    return lambda: (vectors[first : first + size] for first in range(0, len(vectors), size))


class TestNearest:
    """Beside a sort of all products, in rational numbers where it must be exact."""

    @pytest.mark.parametrize(("block", "at_once"), [(1000, 512), (64, 3), (7, 100), (1, 1)])
    def test_it_is_the_sort_of_all_products_whatever_the_blocks(self, block, at_once, monkeypatch):
        monkeypatch.setattr(searching, "AT_ONCE", at_once)
        vectors, queries = unit_vectors(150), unit_vectors(11, seed=1)
        rows, cosines = nearest(cut(vectors, block), queries, 8)
        exact = (vectors.astype(np.float64)[None] * queries[:, None]).sum(axis=2).astype(np.float32)
        order = np.argsort(-exact, axis=1, kind="stable")[:, :8]
        assert np.array_equal(rows, order)
        assert np.array_equal(cosines, np.take_along_axis(exact, order, axis=1))

    @pytest.mark.parametrize("block", [5, 40, 400])
    def test_equal_vectors_are_in_the_order_of_rows(self, block):
        random = np.random.default_rng(3)
        vectors = unit_vectors(20)[random.integers(0, 20, 400)]
        rows, cosines = nearest(cut(vectors, block), vectors[:50], 60)
        for query, (found, cosine) in enumerate(zip(rows, cosines, strict=True)):
            assert [*zip(-cosine, found, strict=True)] == sorted(zip(-cosine, found, strict=True))
            same = np.flatnonzero((vectors == vectors[query]).all(axis=1))
            assert found[: len(same)].tolist() == same.tolist()

    def test_differences_beyond_a_matrix_products_rounding_are_found(self):
        """Vectors that differ from the query by a last bit or two, in the order of their exact products."""
        query = unit_vectors(1)
        random = np.random.default_rng(0)
        bits = random.integers(-2, 3, (300, SIZE), dtype=np.int32)
        vectors = (query.view(np.int32) + bits).view(np.float32)
        exact = [
            sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(row, query[0], strict=True))
            for row in vectors
        ]
        products = np.array([float(product) for product in exact]).astype(np.float32)
        rows, cosines = nearest(cut(vectors, 33), query, 10)
        order = np.argsort(-products, kind="stable")[:10]
        assert len(set(products.tolist())) > 3
        assert rows[0].tolist() == order.tolist()
        assert cosines[0].tolist() == products[order].tolist()

    def test_only_what_is_allowed_is_found_and_too_few_leave_places_empty(self):
        vectors = unit_vectors(30)
        group = np.arange(30) % 3
        rows, cosines = nearest(
            cut(vectors, 4), vectors, 12, lambda queries, others: group[queries, None] == group[others]
        )
        assert np.array_equal(np.sort(rows[:, :10], axis=1) % 3, np.repeat(group[:, None], 10, axis=1))
        assert (rows[:, 10:] == NOBODY).all()
        assert np.isneginf(cosines[:, 10:]).all()
        assert np.array_equal(rows[:, 0], np.arange(30))


class TestScale:
    """Standardised by all vectors, however they come."""

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_mean_and_deviation_are_those_of_all(self, size):
        x = (
            np.random.default_rng(0).normal(size=(100, 5)) * [1, 10, 1e-3, 1, 0] + [0, 1e4, 5, -3, 7]
        ).astype("f4")
        scale = Scale.fit(x[first : first + size] for first in range(0, 100, size))
        np.testing.assert_allclose(scale.mean, x.mean(axis=0, dtype=np.float64))
        np.testing.assert_allclose(scale.std[:4], x.std(axis=0, dtype=np.float64)[:4])
        assert scale.std[4] == 1
        unit = scale.unit(x)
        assert unit.dtype == np.float32
        assert not unit[:, 4].any()
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)

    def test_a_single_vector_keeps_its_direction_and_the_mean_has_none(self):
        x = np.array([[3.0, 4.0]])
        np.testing.assert_allclose(Scale.fit([x]).unit(x), [[0.6, 0.8]])
        several = np.array([[1.0, 2.0], [3.0, 4.0]])
        assert not Scale.fit([several]).unit(several.mean(axis=0, keepdims=True)).any()


def along(track_id: list[str], angles: list[float]) -> Vectors:
    values = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return Vectors(np.array(track_id), values)


TRAIN = Vectors(np.array(["x", "y"]), np.array([[1, 1], [-1, -1]], np.float32))  # mean 0, deviation 1


class TestRetrieval:
    """On vectors in a plane, whose neighbours are seen."""

    def test_means_are_over_the_segments_of_each_track(self):
        track_id = np.array(["b", "b", "a", "b", "c", "c"])
        x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
        for size in (1, 4, 6):
            found = means_by_track(track_id, (x[first : first + size] for first in range(0, 6, size)))
            assert found.track_id.tolist() == ["a", "b", "c"]
            wanted = [x[track_id == name].mean(axis=0) for name in "abc"]
            np.testing.assert_allclose(found.values, wanted, rtol=1e-6)

    def test_precision_counts_tracks_of_the_genre_with_and_without_the_artist(self):
        #                    blues by b1 twice, and by b2; rock by r1 and r2, and one alone by r1 in its genre
        names = ["a", "b", "c", "d", "e", "f"]
        test = along(names, [0.0, 0.1, 0.5, 0.3, 0.8, 2.0])
        label_of = dict(zip(names, ["blues", "blues", "blues", "rock", "rock", "pop"], strict=True))
        unit_of = dict(zip(names, ["b1", "b1", "b2", "r1", "r2", "r1"], strict=True))
        rows = retrieval({"model": {"train": TRAIN, "test": test}}, label_of, unit_of)
        found = {(row.same_artist, row.k): row for row in rows}
        # nobody has ten others; c, by its only artist here, has five
        assert set(found) == {(ALLOWED, 1), (ALLOWED, 5), (REMOVED, 1), (REMOVED, 5)}
        # nearest: a b, b a, c d, d b or c, e c; f is the only one of its genre, and no query
        assert found[ALLOWED, 1].precision == pytest.approx(2 / 5)
        assert found[ALLOWED, 1].n_queries == 5
        assert found[ALLOWED, 5].precision == pytest.approx((3 * 2 / 5 + 2 * 1 / 5) / 5)
        assert found[ALLOWED, 5].best == found[ALLOWED, 5].precision, "five others are all"
        assert found[ALLOWED, 5].chance == found[ALLOWED, 5].precision
        # without the artist: a d, b d, c d, d b or c, e c
        assert found[REMOVED, 1].precision == 0
        assert found[REMOVED, 1].chance == pytest.approx((1 / 4 + 1 / 4 + 2 / 5 + 1 / 4 + 1 / 5) / 5)
        for row in rows:
            assert 0 <= row.ci95_low <= row.precision <= row.ci95_high <= 1
        assert found[REMOVED, 5].n_queries == 2
        assert at_5(rows)["model"]["precision_at_5"] == pytest.approx((2 / 5 + 1 / 5) / 2)

    def test_a_copy_is_no_find_where_its_recording_is_removed(self):
        names = [f"{genre}{n}" for genre in "pq" for n in range(6)]
        angles = [number // 2 * 0.9 for number in range(12)]  # each track and its copy
        label_of = {name: name[0] for name in names}
        unit_of = {name: f"{name[0]}{int(name[1]) // 2}" for name in names}
        vectors = {"model": {"train": TRAIN, "test": along(names, angles)}}
        found = {(row.same_artist, row.k): row for row in retrieval(vectors, label_of, unit_of)}
        assert found[ALLOWED, 1].precision == 1
        assert found[REMOVED, 1].n_queries == 12
        assert found[REMOVED, 1].precision < 1
        assert found[REMOVED, 10].n_queries == 12
        assert found[REMOVED, 10].precision == pytest.approx(0.4)
        assert at_5([*found.values()])["model"]["precision_at_5"] == pytest.approx(
            found[REMOVED, 5].precision, abs=1e-6
        )
        assert AT == (1, 5, 10)
