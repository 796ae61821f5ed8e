"""Dice: everything left to chance comes from here and is repeatable."""

from collections.abc import Mapping
from random import Random


def dice(*key: object) -> Random:
    """Dice that fall the same way for the same key, in every process and on every machine."""
    return Random(" ".join(map(str, key)))  # noqa: S311 -- for music, not for secrets


def draw(weights: Mapping[str, int], rng: Random) -> str:
    """One name, as likely as its weight says."""
    return rng.choices(list(weights), list(weights.values()))[0]
