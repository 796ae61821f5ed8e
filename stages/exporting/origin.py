"""Where a trained model comes from: the music, its licence, and what an evaluation found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.core.errors import EncoreError
from stages.inference.origin import source, threshold
from stages.training.description import Description

CODE_LICENCE = "MIT"  # of Encore


class Origin(NamedTuple):
    """What is known of a model beside its weights.

    Attributes
    ----------
    description : Description
    evaluation : Path or None
        The folder that evaluate has written for this model; None: there is none, or it has no model card.
    metrics : mapping
        Its metrics.json; empty: there is none.
    source : mapping
        name, licence, citation and caveat of the music; "unknown", or empty, where nothing says it.
    """

    description: Description
    evaluation: Path | None
    metrics: Mapping[str, Any]
    source: Mapping[str, str]

    @property
    def pretrained(self) -> list[str]:
        """A sentence on each feature that is itself a trained network."""
        about, name = self.description.input, self.source["name"]
        return [
            f"{feature} is pre-trained on {', '.join(heard)}"
            + (
                ": it may know this music"
                if about.may_know(feature, name)
                else "; overlap with this music unknown"
            )
            for feature, heard in about.trained_on.items()
        ]

    @property
    def summary(self) -> dict[str, str]:
        """What a file says of it in its metadata."""
        found = {
            "licence_of_code": f"{CODE_LICENCE} (Encore)",
            "trained_on": self.source["name"],
            "licence_of_music": self.source["licence"],
            "citation_of_music": self.source["citation"],
            "caveat": self.source["caveat"],
            "pretrained": "; ".join(self.pretrained),
        }
        if self.metrics:
            found["accuracy"] = f"{self.metrics['result']}, per test track, with its 95 % interval"
            found["novelty_threshold"] = str(self.metrics["open_set"]["threshold"])
        return {key: value for key, value in found.items() if value}


def origin(description: Description, metrics: Path | None) -> Origin:
    """Read what is known of a model.

    Parameters
    ----------
    description : Description
        Of the model.
    metrics : Path or None
        metrics.json of its evaluation, beside the model card if there is one.

    Raises
    ------
    EncoreError
        If the card is of another training, or a file is damaged.
    """
    if metrics is None:
        return Origin(description, None, {}, source(None))
    threshold(metrics)  # there?
    folder = metrics.parent
    card = folder / "README.md"
    has_card = card.is_file()
    if has_card and description.content_key not in card.read_text("utf-8"):
        raise EncoreError(
            f"{card}: not the card of this model, whose content key is {description.content_key}; "
            "`dvc repro` evaluates it"
        )
    found = json.loads(metrics.read_text("utf-8"))
    return Origin(description, folder if has_card else None, found, source(metrics))
