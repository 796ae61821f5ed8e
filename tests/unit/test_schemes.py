"""What each way to split promises, on many random data sets."""

import csv
from collections import Counter, defaultdict

import numpy as np
import pytest

from stages.core.errors import EncoreError
from stages.splitting.schemes import SPLITS, assert_apart, count_in_several_splits, holdout, kfold, units_of
from tests.synthetic import REPO

ARTISTS = REPO / "data/facts/gtzan_artists.csv"


def random_tracks(seed: int, at_least: int = 3) -> tuple[list[str], list[str]]:
    """Labels and units of a data set in which every class has `at_least` units of its own."""
    random = np.random.default_rng(seed)
    labels, units = [], []
    n_classes = int(random.integers(2, 8))
    for label in range(n_classes):
        for unit in range(int(random.integers(at_least, at_least + 12))):
            size = int(random.choice([1, 1, 1, 2, 5, 12]))
            labels += [f"class{label}"] * size
            units += [f"{label}-{unit}"] * size
    order = random.permutation(len(labels))
    return [labels[i] for i in order], [units[i] for i in order]


def gtzan() -> tuple[list[str], list[str]]:
    """Labels and artists of GTZAN's 1000 clips; a clip without an artist is its own unit."""
    if not ARTISTS.exists():
        pytest.skip("no data/facts/gtzan_artists.csv")
    with ARTISTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["track_id"].partition(".")[0] for row in rows], [
        row["artist"] or row["track_id"] for row in rows
    ]


def splits_of_units(units: list[str], splits: list) -> dict[str, set]:
    found = defaultdict(set)
    for unit, split in zip(units, splits, strict=True):
        found[unit].add(split)
    return found


def letters(splits: list[str]) -> str:
    return "".join({"train": ".", "valid": "v", "test": "t"}[split] for split in splits)


@pytest.mark.parametrize("seed", range(60))
def test_holdout_keeps_units_together_and_has_every_class_in_every_split(seed):
    labels, units = random_tracks(seed)
    splits = holdout(labels, units, 0.2, 0.2, seed)
    assert len(splits) == len(labels)
    assert set(splits) <= set(SPLITS)
    assert all(len(found) == 1 for found in splits_of_units(units, splits).values())
    assert set(zip(labels, splits, strict=True)) == {(label, split) for label in labels for split in SPLITS}


@pytest.mark.parametrize("seed", range(30))
def test_each_track_is_in_test_for_one_fold(seed):
    k = 3 + seed % 4
    labels, units = random_tracks(seed, at_least=k)
    test_count = Counter()
    valid_count = Counter()
    folds_seen = set()
    for fold in range(k):
        splits, folds = kfold(labels, units, k, fold, seed)
        folds_seen.add(tuple(folds))
        assert set(folds) == set(range(k))
        assert all(len(found) == 1 for found in splits_of_units(units, splits).values())
        assert [split == "test" for split in splits] == [part == fold for part in folds]
        assert [split == "valid" for split in splits] == [part == (fold + 1) % k for part in folds]
        assert set(zip(labels, splits, strict=True)) == {
            (label, split) for label in labels for split in SPLITS
        }
        test_count.update(i for i, split in enumerate(splits) if split == "test")
        valid_count.update(i for i, split in enumerate(splits) if split == "valid")
    assert len(folds_seen) == 1, "folds depend on which of them is the test"
    assert test_count == valid_count == Counter(range(len(labels)))


@pytest.mark.parametrize("scheme", ["holdout", "kfold"])
def test_a_split_depends_on_the_seed_alone(scheme):
    labels, units = random_tracks(1)

    def split(seed):
        return (
            holdout(labels, units, 0.2, 0.2, seed)
            if scheme == "holdout"
            else kfold(labels, units, 3, 0, seed)
        )

    assert split(0) == split(0)
    assert any(split(0) != split(seed) for seed in range(1, 10))


@pytest.mark.parametrize(
    ("n_units", "expected"),
    [
        (36, "....v...tv.tvv..t....t.t.vtt...v.v..vt..vv..v.....tvtt....v.t.t.v..t...."),
        (24, "......ttvtt.tt.vvtvv.vv...............ttt.......tt...vtt.vv....vv.vv...."),
    ],
    ids=["one track each", "one or two tracks each"],
)
def test_a_split_of_many_equal_units_is_always_the_same(n_units, expected):
    units = [f"{label}{i * n_units // 36}" for label in "ab" for i in range(36)]
    assert letters(holdout([unit[0] for unit in units], units, 0.2, 0.2, 0)) == expected


@pytest.mark.parametrize("seed", range(10))
def test_stratified_shares_are_exact_to_one_track(seed):
    random = np.random.default_rng(seed)
    sizes = {f"class{i}": int(random.integers(5, 120)) for i in range(6)}
    labels = [label for label, size in sizes.items() for _ in range(size)]
    splits = holdout(labels, [str(i) for i in range(len(labels))], 0.15, 0.25, seed)
    count = Counter(zip(labels, splits, strict=True))
    for label, size in sizes.items():
        assert abs(count[label, "valid"] - 0.15 * size) <= 1
        assert abs(count[label, "test"] - 0.25 * size) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_gtzan_by_artist_is_near_its_shares(seed):
    labels, units = gtzan()
    crossing = [unit for unit, found in splits_of_units(units, labels).items() if len(found) > 1]
    assert crossing, "artists with two genres are the hard case"
    splits = holdout(labels, units, 0.2, 0.2, seed)
    assert all(len(found) == 1 for found in splits_of_units(units, splits).values())
    count = Counter(zip(labels, splits, strict=True))
    for label in set(labels):
        for split, share in zip(SPLITS, (60, 20, 20), strict=True):
            assert abs(count[label, split] - share) <= 17, (label, split)  # 35 clips of reggae are one artist
    total = Counter(splits)
    for split, share in zip(SPLITS, (600, 200, 200), strict=True):
        assert abs(total[split] - share) <= 50


@pytest.mark.parametrize("seed", range(5))
def test_gtzan_by_artist_in_five_folds(seed):
    labels, units = gtzan()
    _, folds = kfold(labels, units, 5, 0, seed)
    count = Counter(zip(labels, folds, strict=True))
    # all of Bob Marley's 35 clips are in one fold
    assert all(8 <= count[label, fold] <= 36 for label in set(labels) for fold in range(5))
    assert all(150 <= n <= 260 for n in Counter(folds).values())


@pytest.mark.parametrize("seed", range(20))
def test_three_equal_units_of_a_class_give_one_to_each_split(seed):
    labels = [label for label in "abcdefghij" for _ in range(6)]
    units = [f"{label}{i % 3}" for i, label in enumerate(labels)]
    splits = holdout(labels, units, 0.2, 0.2, seed)
    for label in "abcdefghij":
        assert Counter(s for s, c in zip(splits, labels, strict=True) if c == label) == dict.fromkeys(
            SPLITS, 2
        )


@pytest.mark.parametrize("seed", range(5))
def test_three_unequal_units_of_a_class_give_one_to_each_split(seed):
    sizes = np.random.default_rng(seed).integers(1, 30, (4, 3))
    labels = [f"class{c}" for c in range(4) for u in range(3) for _ in range(sizes[c, u])]
    units = [f"{c}-{u}" for c in range(4) for u in range(3) for _ in range(sizes[c, u])]
    assert set(holdout(labels, units, 0.1, 0.1, seed)) == set(SPLITS)


@pytest.mark.parametrize("seed", range(5))
def test_three_tracks_of_a_class_give_one_to_each_small_split(seed):
    labels = ["a"] * 3 + ["b"] * 40
    splits = holdout(labels, [str(i) for i in range(len(labels))], 0.1, 0.1, seed)
    assert sorted(splits[:3]) == sorted(SPLITS)


def test_shares_decide_while_more_units_are_left_than_empty_parts():
    units = [f"a{i // 2}" for i in range(60)] + [f"b{i:02d}" for i in range(12)]  # those of b come last
    splits = holdout([unit[0] for unit in units], units, 0.2, 0.2, 0)
    assert letters(splits)[60:] == "t.v...t.v..."


def test_units_of_several_classes_are_scarce_in_each_class_by_itself():
    units = ["ab", "abb", "ab", "aabb", "a", "a", "b"]
    labels = [label for unit in units for label in unit]
    names = [str(number) for number, unit in enumerate(units) for _ in unit]
    assert letters(holdout(labels, names, 0.1, 0.1, 0)) == "tt...vv......."


def test_two_units_of_a_class_are_refused_in_one_line():
    labels = ["jazz"] * 20 + ["rock"] * 20
    units = [f"artist{i % 2}" for i in range(20)] + [str(i) for i in range(20)]
    for split in (lambda: holdout(labels, units, 0.2, 0.2, 0), lambda: kfold(labels, units, 3, 0, 0)):
        with pytest.raises(EncoreError, match="class 'jazz' has no track in") as refused:
            split()
        line = str(refused.value)
        assert "2 tracks or groups" in line
        assert "at least 3" in line
        assert "dataset.classes" in line
        assert "\n" not in line


def test_a_unit_in_two_splits_is_refused():
    assert_apart(["a", "a", "b"], ["train", "train", "test"])
    assert_apart(["a", "a"], ["train", "excluded"])
    with pytest.raises(EncoreError, match="'a' is in both train and test"):
        assert_apart(["a", "b", "a"], ["train", "valid", "test"])
    with pytest.raises(ValueError, match="shorter"):
        assert_apart(["a", "b"], ["train"])


def test_names_in_several_splits_are_counted():
    names = ["x", "x", "y", "y", "", "", "z", "z"]
    splits = ["train", "test", "train", "train", "train", "test", "train", "excluded"]
    assert count_in_several_splits(names, splits) == 1
    with pytest.raises(ValueError, match="longer"):
        count_in_several_splits(names, [*splits, "train"])


def test_a_unit_joins_tracks_that_share_a_recording_or_group():
    #             0    1    2    3    4    5    6
    recordings = ["a", "b", "a", "d", "e", "f", "g"]
    groups = ["X", "", "", "X", "Z", "Y", ""]
    assert units_of(recordings, groups) == ["X", "b", "X", "X", "Z", "Y", "g"]
    assert units_of(recordings, [""] * 7) == ["a", "b", "a", "d", "e", "f", "g"]


def test_a_shared_recording_joins_two_groups_under_the_first_name():
    assert units_of(["r", "r", "s"], ["Queen", "Dio", "Queen"]) == ["Dio", "Dio", "Dio"]
