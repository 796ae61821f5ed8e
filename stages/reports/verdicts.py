"""What people say about labels, as lines for the terminal."""

from collections.abc import Iterable

from stages.correcting.agreement import Agreement
from stages.correcting.verdict import RIGHT, VERDICTS, WRONG, Verdict
from stages.evaluation.corrected import Accuracy, Summary


def summary_lines(summary: Summary) -> list[str]:
    """Return what the accuracy would be, and how the right and the wrong predictions were judged."""
    heads = [*(name.replace("_", " ") for name in VERDICTS), "not judged", "all"]
    rows = (
        (name, [*(getattr(judged, verdict) for verdict in VERDICTS), judged.not_judged, judged.n])
        for name, judged in (("wrong predictions", summary.wrong), ("right predictions", summary.right))
    )
    lines = [
        f"accuracy {_accuracy(summary.before)}; with the verdicts {_accuracy(summary.after)}",
        "  ".join([" " * 17, *heads]),
        *(
            "  ".join([name, *(f"{n:>{len(head)}}" for head, n in zip(heads, row, strict=True))])
            for name, row in rows
        ),
    ]
    if summary.n_known:
        lines.append(f"{_of(summary.n_known)} in the labels of the evaluation already")
    if summary.n_elsewhere:
        lines.append(f"{_of(summary.n_elsewhere)} about tracks outside the test set")
    return [*lines, *([f"bias: {summary.bias}"] if summary.bias else [])]


def correction_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Return a line for each track whose label is wrong, or that nobody can label."""
    rows = [
        (row.track_id, row.was, row.label or row.verdict.replace("_", " "))
        for row in verdicts
        if row.verdict != RIGHT
    ]
    width = max((len(track_id) for track_id, _, _ in rows), default=0)
    return [f"{track_id:<{width}}  {was or 'unlabelled'} → {now}" for track_id, was, now in rows]


def agreement_lines(agreement: Agreement, first: str, second: str) -> list[str]:
    """Return how far two reviewers agree, the table of their verdicts, and the tracks where they differ."""
    lines = [f"{first} and {second} have judged {_some(agreement.n, 'track')} in common"]
    if agreement.n_other_music:
        left = _some(agreement.n_other_music, "track")
        lines.append(f"left out: {left}, the music of which has changed between their verdicts")
    if agreement.observed is None:
        return lines
    lines.append(f"the same verdict: {agreement.observed:.3f}; Cohen's kappa: {_kappa(agreement)}")
    heads = [name.replace("_", " ") for name in agreement.verdicts]
    width = max(len(first), *map(len, heads))
    lines += [
        "  ".join([f"{first:<{width}}", *heads, f"({second})"]),
        *(
            "  ".join(
                [f"{name:<{width}}", *(f"{n:>{len(head)}}" for head, n in zip(heads, row, strict=True))]
            )
            for name, row in zip(heads, agreement.table, strict=True)
        ),
    ]
    if agreement.n_both_wrong:
        lines.append(
            f"of {_some(agreement.n_both_wrong, 'label')} that both call wrong, they replace "
            f"{agreement.n_same_label} by the same one"
        )
    if agreement.differences:
        lines.append("they differ on:")
        width = max(len(one.track_id) for one in agreement.differences)
    for one in agreement.differences:
        said = (_said(one.first, one.first_label), _said(one.second, one.second_label))
        lines.append(f"{one.track_id:<{width}}  {said[0]} / {said[1]}")
    return lines


def _accuracy(accuracy: Accuracy) -> str:
    if accuracy.accuracy is None or accuracy.ci95 is None:
        return "unknown, of no track"
    low, high = accuracy.ci95
    return f"{accuracy.accuracy:.3f} ({low:.3f} to {high:.3f}) of {accuracy.n} tracks"


def _kappa(agreement: Agreement) -> str:
    if agreement.kappa is None:
        return "not defined, since both always say the same thing"
    if agreement.kappa_ci95 is None:
        return f"{agreement.kappa:.3f}, without an interval, since they never differ"
    low, high = agreement.kappa_ci95
    return f"{agreement.kappa:.3f} ({low:.3f} to {high:.3f})"


def _said(verdict: str, label: str) -> str:
    return verdict.replace("_", " ") + (f" ({label})" if verdict == WRONG else "")


def _some(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _of(n: int) -> str:
    return f"{n} verdict{' is' if n == 1 else 's are'}"
