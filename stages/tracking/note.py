"""What MLflow shows at the top of a run's page: the scores beside the baseline, and two pictures."""

from collections.abc import Mapping
from urllib.parse import urlencode

TAG = "mlflow.note.content"  # a run's description, in Markdown
HEAD = "Accuracy per test track, with its 95 % interval:"
PICTURES = ("confusion_test.png", "curves.png")
PLACE = "note"  # of the pictures among a run's artifacts
WIDTH = 600  # pixels of a picture; a wider one pushes what is beside the description off the page


def note(model: str, scores: Mapping[str, float], run_id: str) -> str:
    """Return the description of a run; the first lines are seen at once, the pictures by a click.

    Parameters
    ----------
    model : str
    scores : mapping of str to float
        From `tracked`.
    run_id : str
        The run's artifacts are found by it at any address of the server, wherever they are stored.
    """
    lines = [
        f"- {name}: **{scores[f'{of}/accuracy']:.3f}** ({_interval(scores, of, '.3f')}), "
        f"macro-F1 {scores[f'{of}/macro_f1']:.3f}"
        for name, of in ((model, "test"), ("linear baseline", "test_baseline"))
    ]
    points = {name: 100 * value for name, value in scores.items()}
    lines.append(
        f"- difference: **{points['test_minus_baseline/accuracy']:+.1f} points** "
        f"({_interval(points, 'test_minus_baseline', '+.1f')}), p {scores['test_minus_baseline/p']:.2g}"
    )
    pictures = [
        f"![{path}](get-artifact?{urlencode({'path': f'{PLACE}/{path}', 'run_uuid': run_id})})"
        for path in PICTURES
    ]
    return "\n".join([HEAD, "", *lines, "", *pictures, ""])


def is_ours(text: str) -> bool:
    """Return whether a description is one of `note`, or none: what a person has written stays."""
    return not text or text.startswith(HEAD)


def _interval(values: Mapping[str, float], of: str, form: str) -> str:
    low, high = (format(values[f"{of}/accuracy_ci95_{end}"], form) for end in ("low", "high"))
    return f"{low} to {high}"
