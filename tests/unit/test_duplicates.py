"""Near-duplicates among synthetic fingerprints; the campaign tests changes of real audio."""

import numpy as np
import pytest

from stages.audio.duplicates import MAX_ERROR_RATE, NEIGHBOURS, near_duplicates
from stages.core.connected import connected

RNG_SEED = 0
N_FRAMES = 1276  # 30 s
SECOND = 43  # frames


@pytest.fixture
def rng():
    return np.random.default_rng(RNG_SEED)


def random_words(rng, n_frames=N_FRAMES):
    return rng.integers(1, 1 << 32, n_frames, dtype=np.uint32)


def with_errors(rng, words, rate):
    flipped = np.packbits(rng.random((len(words), 32)) < rate, axis=1).view(np.uint32)[:, 0]
    return words ^ flipped


def group_of(n_tracks, pairs):
    return connected(n_tracks, [(first, second) for first, second, _ in pairs])


def test_unrelated_tracks_make_no_pair(rng):
    assert near_duplicates([random_words(rng) for _ in range(50)]) == []


def test_an_exact_copy_has_no_bit_errors(rng):
    tracks = [random_words(rng) for _ in range(5)]
    assert near_duplicates([*tracks, tracks[2]]) == [(2, 5, 0.0)]


@pytest.mark.parametrize("cut", [slice(SECOND, None), slice(2 * SECOND, None), slice(20 * SECOND)])
@pytest.mark.parametrize("copy_first", [True, False])
def test_a_cut_copy_with_errors_is_found_at_its_offset(rng, cut, copy_first):
    original = random_words(rng)
    copy = with_errors(rng, original, 0.08)[cut]
    ((first, second, rate),) = near_duplicates([copy, original] if copy_first else [original, copy])
    assert (first, second) == (0, 1)
    assert rate == pytest.approx(0.08, abs=0.01)


def test_a_short_shared_phrase_makes_no_pair(rng):
    """Four seconds in common, as in a sampled loop; six make a pair."""
    for seconds, n_pairs in ((4, 0), (6, 1)):
        phrase = random_words(rng, seconds * SECOND)
        tail = np.concatenate([random_words(rng), phrase])
        head = np.concatenate([phrase, random_words(rng)])
        assert len(near_duplicates([tail, head])) == n_pairs


def test_a_few_shared_words_make_no_pair(rng):
    """Twenty words agree at one offset, all other bits are of different music."""
    first, second = random_words(rng), random_words(rng)
    second[100:120] = first[100:120]
    assert near_duplicates([first, second]) == []


def test_too_many_errors_make_no_pair(rng):
    first = random_words(rng)
    second = with_errors(rng, first, MAX_ERROR_RATE + 0.05)
    second[::50] = first[::50]  # votes enough
    assert near_duplicates([first, second]) == []


def test_common_silence_makes_no_pair(rng):
    tracks = [random_words(rng) for _ in range(10)]
    for words in tracks:
        words[100:] = 0
    assert near_duplicates(tracks) == []
    assert near_duplicates([np.zeros(N_FRAMES, np.uint32)] * 3) == []


def test_a_repeated_word_does_not_hide_a_copy(rng):
    original = random_words(rng)
    original[:600] = original[0]
    others = [random_words(rng) for _ in range(3 * NEIGHBOURS)]
    for words in others:
        words[:600] = original[0]
    pairs = near_duplicates([original, *others, original[SECOND:]])
    assert group_of(len(others) + 2, pairs) == [*range(len(others) + 1), 0]


def test_more_copies_than_neighbours_are_one_group(rng):
    original = random_words(rng)
    tracks = [with_errors(rng, original, 0.03) for _ in range(4 * NEIGHBOURS)]
    assert set(group_of(len(tracks), near_duplicates(tracks))) == {0}


@pytest.mark.parametrize("fingerprints", [[], [np.empty(0, np.uint32)], [np.empty(0, np.uint32)] * 3])
def test_nothing_to_compare(fingerprints):
    assert near_duplicates(fingerprints) == []


def test_lengths_may_differ_and_be_zero(rng):
    long = random_words(rng, 20_000)
    tracks = [np.empty(0, np.uint32), long, random_words(rng, 3), long[15_000:16_000]]
    assert near_duplicates(tracks) == [(1, 3, 0.0)]
