"""Which items belong together, since pairs of them do, directly or through others."""

from collections.abc import Iterable


def connected(n_items: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the first item of each item's group: the items that pairs connect, also indirectly.

    Not scipy's `connected_components`, whose import takes as long as the rest of a stage.

    Parameters
    ----------
    n_items : int
    pairs : iterable of (int, int)
        Indices below `n_items`.

    Returns
    -------
    list of int (n_items,)
        The index of the item itself if it is in no pair.
    """
    above = list(range(n_items))  # an item of the same group, no later than the item

    def first_of(item: int) -> int:
        while above[item] != item:
            above[item] = item = above[above[item]]
        return item

    for one, other in pairs:
        first, second = sorted((first_of(one), first_of(other)))
        above[second] = first
    return [first_of(item) for item in range(n_items)]
