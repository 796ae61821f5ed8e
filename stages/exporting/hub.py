"""A trained model as a folder for a model hub: weights, model.json, and its card with the hub's header.

Keys of the header: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

import re
import shutil
from pathlib import Path

from stages.core.documents import write_document
from stages.core.errors import EncoreError
from stages.exporting.network import Whole
from stages.exporting.origin import Origin
from stages.inference.origin import SOURCE
from stages.reports.card.markup import template

MODEL = ("model.json", "weights.safetensors")
METRICS, CARD, ONNX = "metrics.json", "README.md", "model.onnx"
ON_THE_HUB = {"gtzan": "marsyas/gtzan"}  # what a dataset of ours is called there
USE, AFTER_USE = "\n## Use it\n", "\n## Repeat it\n"  # headings of the card
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
FREE = "MIT"  # how the licence of music begins that may be used like Encore itself
LICENCE = Path(__file__).parents[2] / "LICENSE"
NOT_FREE = """# Licence

The code that trained this model and that loads it, Encore, has the MIT licence.

The weights were learned from music of the dataset {name}. Licence of that music: {licence}.

Encore cannot say under which licence these weights may be passed on. Who publishes them decides that, and
states it here and in the header of README.md.
"""


def check(origin: Origin, model: Path) -> None:
    """Check that a folder can be made of a model, which takes minutes.

    Raises
    ------
    EncoreError
        If the model has no card, or its card is one that `write` has written.
    """
    if origin.evaluation is None:
        raise EncoreError(f"{model}: has no model card, which is part of the folder; `dvc repro` makes it")
    card = origin.evaluation / CARD
    text = card.read_text("utf-8")
    if USE not in text or AFTER_USE not in text or text.startswith("---"):
        raise EncoreError(f"{card}: not a card as evaluate writes it; export the project's model, or a run's")


def write(origin: Origin, whole: Whole, model: Path, folder: Path) -> list[str]:
    """Fill a folder that has the ONNX file with all else that a hub shows and a user needs.

    Parameters
    ----------
    origin : Origin
    whole : Whole
    model : Path
        The folder of the trained model.
    folder : Path

    Returns
    -------
    list of str
        Names of its files and folders.
    """
    evaluation = origin.evaluation
    assert evaluation is not None  # see `check`
    card = (evaluation / CARD).read_text("utf-8")
    for file in MODEL:
        shutil.copyfile(model / file, folder / file)
    shutil.copyfile(evaluation / METRICS, folder / METRICS)
    write_document(folder / SOURCE, origin.source)
    is_free = origin.source["licence"].startswith(FREE)
    if is_free:
        shutil.copyfile(LICENCE, folder / LICENCE.name)
    else:
        (folder / f"{LICENCE.name}.md").write_text(NOT_FREE.format_map(origin.source), "utf-8")
    before, after = card.split(USE)[0], card.split(AFTER_USE)[1]
    parts = (_linked(text, evaluation, folder) for text in (before, AFTER_USE.lstrip() + after))
    (folder / CARD).write_text(_card(origin, whole, *parts), "utf-8")
    return sorted(path.name for path in folder.iterdir())


def _linked(card: str, evaluation: Path, folder: Path) -> str:
    """Copy what a card links to in its folder, and return the card without links that lead out of it."""

    def follow(link: re.Match[str]) -> str:
        text, target, _ = link.groups()
        if "://" in target:
            return link[0]
        if not (evaluation / target).is_file() or Path(target).parts[0] == "..":
            return text
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(evaluation / target, folder / target)
        return link[0]

    return LINK.sub(follow, card)


def _card(origin: Origin, whole: Whole, before: str, after: str) -> str:
    return template(Path(__file__).with_name(f"{CARD}.jinja")).render(
        is_free=origin.source["licence"].startswith(FREE),
        name=f"{origin.description.model} on {origin.source['name']}",
        hub_dataset=ON_THE_HUB.get(origin.source["name"]),
        source=origin.source,
        scores=_scores(origin),
        before=before,
        after=after,
        takes_waveform=not whole.without_layer,
        inputs=" and ".join(f"`{given}`" for given in whole.inputs),
        without_layer=" and ".join(f"`{given}`" for given in whole.without_layer),
        pretrained=origin.pretrained,
    )


def _scores(origin: Origin) -> list[tuple[str, str, list[float]]]:
    """Return what the header says of the test tracks: kind, title, and value with its interval."""
    track = origin.metrics["test"]["track"]
    return [
        (kind, title, [track[f"{score}{end}"] for end in ("", "_ci95_low", "_ci95_high")])
        for kind, title, score in (("accuracy", "Accuracy", "accuracy"), ("f1", "Macro-F1", "macro_f1"))
    ]
