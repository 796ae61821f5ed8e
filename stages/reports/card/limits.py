"""What the numbers do not show, as far as the run itself can tell."""

from collections import Counter
from itertools import chain

from stages.reports.card.facts import Facts
from stages.reports.card.markup import counted, escaped, named

WIDE = 0.1  # a wider interval of accuracy is a limit
FEW = 20  # independent units; intervals of fewer are rough


def limits(facts: Facts) -> list[str]:
    """Return the limits of the music and its split, of the test split, and of the training.

    Parameters
    ----------
    facts : Facts

    Returns
    -------
    list of str
        Sentences in Markdown, those of the music first.
    """
    found = [_of_weights(facts), _of_split(facts), _of_music(facts), _of_test(facts), _of_classes(facts)]
    return [*chain.from_iterable(found), *_of_training(facts)]


def _of_weights(facts: Facts) -> list[str]:
    found = []
    given, dataset = facts.description.input, facts.source["name"]
    for name, heard in given.trained_on.items():
        if given.may_know(name, dataset):
            found.append(
                f"{escaped(name)} was trained on {escaped(dataset)}, which this music is from: it may know "
                "the test tracks, and accuracy is optimistic."
            )
        else:
            datasets = escaped(", ".join(heard))
            found.append(f"{escaped(name)} is pre-trained on {datasets}; overlap with this music unknown.")
    return found


def _of_split(facts: Facts) -> list[str]:
    tracks = counted(len(facts.evaluated), "track")
    found = []
    if n := facts.n_shared_groups:
        found.append(f"{counted(n, 'group')} in more than one split: accuracy is optimistic.")
    if n := len(facts.evaluated) - facts.n_with_group:
        found.append(
            f"The group of {n:,} of {tracks} is unknown: an artist may be in two splits, and accuracy may be "
            "optimistic."
        )
    if n := facts.n_shared_recordings:
        found.append(f"{counted(n, 'recording')} in more than one split: accuracy is optimistic.")
    if n := len(facts.evaluated) - facts.n_recordings:
        found.append(f"{counted(n, 'copy', 'copies')} of a recording among {tracks}.")
    return found


def _of_music(facts: Facts) -> list[str]:
    groups, unknown = facts.groups(facts.evaluated), facts.of("unknown")
    n_files = len(facts.quality)
    found = []
    if n := len(set(groups) & set(facts.groups(unknown)) - {""}):
        found.append(
            f"{counted(n, 'group')} with music of known and unknown classes: the AUROC is pessimistic."
        )
    if n := n_files - len(groups) - len(unknown):
        found.append(f"{n:,} of {n_files:,} files in no split: results on music like that are unknown.")
    if n := facts.n_midi:
        found.append(f"{n:,} of {counted(len(groups), 'track')} rendered from MIDI, all by one synthesiser.")
    return found


def _of_test(facts: Facts) -> list[str]:
    scores = facts.scores["test"]["track"]
    found = []
    if (width := scores["accuracy_ci95_high"] - scores["accuracy_ci95_low"]) > WIDE:
        found.append(
            f"{counted(len(facts.of('test')), 'test track')}: the interval of accuracy is {100 * width:.0f} "
            "points wide; smaller differences mean little."
        )
    if facts.n_units < FEW:
        found.append(f"The intervals are rough: only {facts.units} in test.")
    return found


def _of_classes(facts: Facts) -> list[str]:
    least = min(Counter(row.label for row in facts.of("test")).values())
    found = [
        f"The smallest class has {counted(least, 'test track')}: one more right or wrong moves its recall "
        f"by {1 / least:.2f}."
    ]
    for split, effect in (("train", "never learned"), ("test", "never evaluated")):
        if absent := sorted(set(facts.description.labels) - {row.label for row in facts.of(split)}):
            found.append(f"No track in {split}, so {effect}: {named(absent)}.")
    return found


def _of_training(facts: Facts) -> list[str]:
    found = ["One training with one seed: the intervals do not cover the variation between seeds."]
    if facts.description.recipe.train.keep == "best":
        found.append("The validation split chose the epoch, so its scores are optimistic.")
    if facts.description.embedding_size:
        found.append("The validation split set the temperature of the probabilities, so they fit it best.")
    return found
