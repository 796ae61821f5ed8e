"""What the numbers do not show, as far as the run itself can tell."""

from collections import Counter

from stages.audio.formats import MIDI
from stages.reports.card.facts import Facts
from stages.reports.card.markup import bullets, counted, escaped

WIDE = 0.1  # an interval of accuracy that is wider is a limit


def limits(facts: Facts) -> list[str]:
    """Of the music and its split, of the test side, and of the training."""
    return ["## Limits", bullets([*_of_music(facts), *_of_test(facts), *_of_training(facts)])]


def _of_music(facts: Facts) -> list[str]:
    groups, recordings = facts.groups(facts.judged), facts.recordings(facts.judged)
    tracks, n_files = counted(len(groups), "track"), len(facts.quality)
    judged = {row.track_id for row in facts.judged}
    n_midi = sum(row.encoding == MIDI and row.track_id in judged for row in facts.quality)
    found = []
    if n := facts.n_on_two_sides(groups):
        found.append(f"{counted(n, 'group')} on two sides: accuracy is optimistic.")
    if n := groups.count(""):
        found.append(
            f"The group of {n:,} of {tracks} is unknown: an artist may stand on two sides, and accuracy "
            "may be optimistic."
        )
    if n := facts.n_on_two_sides(recordings):
        found.append(f"{counted(n, 'recording')} on two sides: accuracy is optimistic.")
    if n := len(recordings) - len(set(recordings)):
        found.append(f"{counted(n, 'copy', 'copies')} of a recording among {tracks}.")
    unknown = facts.side("unknown")
    if n := len(set(groups) & set(facts.groups(unknown)) - {""}):
        found.append(
            f"{counted(n, 'group')} with music of known and unknown classes: the AUROC is pessimistic."
        )
    if n := n_files - len(groups) - len(unknown):
        found.append(f"{n:,} of {n_files:,} files on no side: how music like that fares is unknown.")
    if n_midi:
        found.append(f"{n_midi:,} of {tracks} from MIDI, all played by one synthesiser.")
    return found


def _of_test(facts: Facts) -> list[str]:
    test, scores = facts.side("test"), facts.scores["test"]["track"]
    tracks, groups = counted(len(test), "test track"), facts.groups(test)
    n_groups = len(set(groups) - {""}) + groups.count("")
    least = min(Counter(row.label for row in test).values())
    found = []
    if (width := scores["accuracy_ci95_high"] - scores["accuracy_ci95_low"]) > WIDE:
        found.append(
            f"{tracks}: the interval of accuracy is {100 * width:.0f} points wide, and smaller differences "
            "mean little."
        )
    if scores["accuracy"] == 1:
        found.append(
            "Every test track is right, so the bootstrap has no width. By the rule of three the accuracy "
            f"may be as low as {max(0, 1 - 3 / len(test)):.3f}."
        )
    if n_groups < len(test):
        found.append(
            f"The {tracks} come from {counted(n_groups, 'group')}. The intervals take tracks for "
            "independent, and are likely too narrow."
        )
    found.append(
        f"The smallest class has {counted(least, 'test track')}: one more right or wrong moves its recall "
        f"by {1 / least:.2f}."
    )
    for side, effect in (("train", "never learnt"), ("test", "never judged")):
        if absent := sorted(set(facts.description.labels) - {row.label for row in facts.side(side)}):
            found.append(f"No track in {side}, hence {effect}: {', '.join(map(escaped, absent))}.")
    return found


def _of_training(facts: Facts) -> list[str]:
    found = ["One training with one seed: the intervals do not cover what another seed would change."]
    if facts.description.recipe.train.keep == "best":
        found.append("The validation side chose the epoch, so its scores are optimistic.")
    if facts.description.embedding_size:
        found.append("The validation side set the temperature of the probabilities, so they fit it best.")
    return found
