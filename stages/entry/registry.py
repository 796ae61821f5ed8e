"""The sections of params.yaml: how each one is checked, and whether they fit together.

A section that is added to conf/ is added here: every stage then checks it, and MLflow logs it. dvc.yaml names
the stages that it changes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stages.audio.params import AudioParams, QualityParams, RenderParams
from stages.core.errors import EncoreError
from stages.core.numerics import NumericsParams
from stages.core.params import Params, check, read
from stages.core.runtime import RuntimeParams
from stages.evaluation.params import BaselineParams, EvaluateParams, TrackingParams
from stages.features.feature import Feature
from stages.features.params import FeaturesParams, build
from stages.features.segments import SegmentParams
from stages.plots.pages import PicturesParams, page_features
from stages.sources.choices import check_dataset
from stages.splitting.inputs import names_of
from stages.splitting.params import check_split
from stages.training import recipe
from stages.training.augment_params import AugmentParams
from stages.training.loss_params import check_loss
from stages.training.model_params import check_model
from stages.training.recipe import Recipe, TrainParams
from stages.training.schedule_params import check_schedule

SECTIONS: Mapping[str, type[Params] | Callable[[Any], Any]] = {
    "dataset": check_dataset,
    "audio": AudioParams,
    "render": RenderParams,
    "quality": QualityParams,
    "segment": SegmentParams,
    "split": check_split,
    "features": FeaturesParams,
    "pictures": PicturesParams,
    "baseline": BaselineParams,
    "model": check_model,
    "train": TrainParams,
    "schedule": check_schedule,
    "loss": check_loss,
    "augment": AugmentParams,
    "evaluate": EvaluateParams,
    "tracking": TrackingParams,
    "numerics": NumericsParams,
    "runtime": RuntimeParams,
}


def check_section(name: str, values: Any) -> Any:
    """Return the checked parameters of one section.

    Raises
    ------
    EncoreError
        One line that names the first wrong key in full, its value, and what is allowed.
    """
    how = SECTIONS[name]
    return check(values, how, name) if isinstance(how, type) else how(values)


def check_params() -> None:
    """Read params.yaml and check the whole of it.

    Raises
    ------
    EncoreError
        If the file cannot be read, or as `check_all` says.
    """
    check_all({name: read(name) for name in SECTIONS})


def check_all(values: Mapping[str, Any]) -> None:
    """Check all sections, as far as that is possible without data and without torch.

    Whether a model fits the shape of its feature is known when `train` builds it.

    Raises
    ------
    EncoreError
        If a section is wrong, or two sections do not fit together.
    """
    sections = {name: check_section(name, values[name]) for name in SECTIONS}
    training = Recipe(**{name: sections[name] for name in recipe.SECTIONS})
    recipe.check_together(training)
    recipe.check_precision(sections["train"].precision, sections["runtime"].device)
    if sections["tracking"].registered_as and sections["runtime"].tracking == "off":
        raise EncoreError(
            f"params.yaml: tracking.register is {sections['tracking'].registered_as!r}, but without "
            "runtime.tracking=on there is no run to register"
        )
    if sections["split"].name == "published" and not sections["dataset"].publishes_split:
        raise EncoreError(
            f"params.yaml: split.name is 'published', but dataset {sections['dataset'].name} publishes no "
            "split; choose another, such as grouped"
        )
    features = _features(sections)
    given = {"baseline.features": sections["baseline"].features, "model.feature": sections["model"].feature}
    for key, wanted in given.items():
        if missing := set(names_of(wanted)) - set(features):
            raise EncoreError(
                f"params.yaml: {key} is {wanted!r}, but features.include has only "
                f"{', '.join(features)}; add {min(missing)} to features.include"
            )
        if isinstance(wanted, list) and (codes := [name for name in wanted if features[name].is_codes]):
            raise EncoreError(
                f"params.yaml: {key} has {codes[0]!r}, whose values are codes, which have no mean; "
                "model.feature can be that feature alone"
            )
    name = sections["model"].feature
    if isinstance(name, str):
        recipe.check_augmentation(training, name, features[name].unit, features[name].is_codes)
    else:
        recipe.check_augmentation(training, "statistics", "", is_codes=False)


def _features(sections: Mapping[str, Any]) -> dict[str, Feature]:
    """Return the features that will be extracted, once they and those of the pictures are known to fit."""
    sample_rate_hz, length_s = sections["audio"].sample_rate_hz, sections["segment"].length_s
    length = round(length_s * sample_rate_hz)
    if length < 1:
        raise EncoreError(f"params.yaml: segment.length_s is {length_s}, under one sample")
    page_features(sections["features"], sample_rate_hz)
    return build(sections["features"], sample_rate_hz, length)
