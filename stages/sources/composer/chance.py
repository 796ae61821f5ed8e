"""Repeatable random choices: everything random in a song comes from here."""

from collections.abc import Mapping
from random import Random


def seeded(*key: object) -> Random:
    """Return a generator with the same numbers for the same key, in every process and on every machine."""
    return Random(" ".join(map(str, key)))  # noqa: S311 -- for music, not for secrets


def draw(weights: Mapping[str, int], rng: Random) -> str:
    """Draw one name, with a probability in proportion to its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]
