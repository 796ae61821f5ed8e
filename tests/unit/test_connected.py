"""Items that pairs connect are one group, named by its first item."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.core.connected import connected


def test_connected_items_have_the_first_one_in_common():
    assert connected(7, [(4, 1), (4, 6), (2, 3)]) == [0, 1, 2, 2, 1, 5, 1]
    assert connected(3, []) == [0, 1, 2]
    assert connected(0, []) == []


@pytest.mark.parametrize("n_pairs", [10, 60, 200])
def test_groups_are_those_of_scipy(n_pairs):
    pairs = np.random.default_rng(n_pairs).integers(0, 100, (n_pairs, 2))
    _, component = connected_components(coo_array((np.ones(n_pairs), pairs.T), (100, 100)), directed=False)
    first = {group: int(np.flatnonzero(component == group)[0]) for group in set(component)}
    assert connected(100, pairs.tolist()) == [first[group] for group in component]
