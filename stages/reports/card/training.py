"""How it learnt: what was in effect, and nothing that was not."""

from collections.abc import Mapping
from typing import Any

from stages.reports.card.facts import Facts
from stages.reports.card.markup import code, counted, figure, in_brackets, table

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
LOSSES = {
    "cross_entropy": "cross-entropy",
    "binary_cross_entropy": "binary cross-entropy, a sigmoid for each class",
    "triplet": "triplets of embeddings; the class with the nearest prototype is predicted",
    "supcon": "supervised contrast of embeddings; the class with the nearest prototype is predicted",
}
SCALERS = {
    "bins": "each bin by its mean and deviation over the training segments",
    "example": "each segment by its own mean and deviation",
    "none": "none",
}


def training(facts: Facts) -> list[str]:
    """The settings, and how it went."""
    recipe = facts.description.recipe.model_dump()
    how = {**recipe.pop("train"), **recipe}
    is_codes = facts.description.n_levels is not None
    variants = facts.description.feature.variants if how["variants"] else []
    in_effect = {
        "optimiser": _optimizer(how),
        "schedule": _schedule(how["schedule"]),
        "loss": _loss(how["loss"]),
        "batch": _batch(how),
        "input scaling": "none: codes, one-hot" if is_codes else SCALERS[how["scaler"]],
        "augmentation": code(how["augment"]) or "none",
        "variants": ", ".join(f"`{name}`" for name in variants),
        "L1 penalty": f"{how['l1']:g}" if how["l1"] else "",
        "gradient norm": f"at most {how['clip_norm']:g}" if how["clip_norm"] else "",
        "weights": f"moving average, decay {how['ema_decay']:g} a step" if how["ema_decay"] else "",
        "precision": how["precision"] if how["precision"] != "32-true" else "",
        "epochs": _epochs(facts),
        "seed": str(how["seed"]),
    }
    augmented = figure(
        "augmentations", "Training segments, their variants, and what each augmentation makes."
    )
    return [
        "## Training",
        table(["setting", "value"], [[name, value] for name, value in in_effect.items() if value]),
        *figure("curves", "Loss and accuracy per segment; dotted: the epoch that was kept."),
        *(augmented if facts.description.recipe.augment.active or variants else []),
    ]


def _optimizer(how: Mapping[str, Any]) -> str:
    text = f"{OPTIMIZERS[how['optimizer']]}, learning rate {how['learning_rate']:g}"
    if how["weight_decay"]:
        text += f", weight decay {how['weight_decay']:g}"
    if how["momentum"] and how["optimizer"] == "sgd":
        text += f", momentum {how['momentum']:g}"
    return text


def _schedule(schedule: Mapping[str, Any]) -> str:
    own = {key: value for key, value in schedule.items() if key not in ("name", "warmup_epochs")}
    text = f"{schedule['name'].replace('_', ' ')}{in_brackets(code(own))}"
    return f"{text}, warm-up {schedule['warmup_epochs']:g} epochs" if schedule["warmup_epochs"] else text


def _loss(loss: Mapping[str, Any]) -> str:
    text = LOSSES[loss["name"]]
    if "embedding_size" in loss:
        return f"{text}{in_brackets(code({key: value for key, value in loss.items() if key != 'name'}))}"
    if loss["label_smoothing"]:
        text += f"; label smoothing {loss['label_smoothing']:g}"
    return f"{text}; classes weighted to balance" if loss["class_weights"] == "balanced" else text


def _batch(how: Mapping[str, Any]) -> str:
    text = counted(how["batch_size"], "segment")
    return f"{text}, {how['accumulate']} batches to a step" if how["accumulate"] > 1 else text


def _epochs(facts: Facts) -> str:
    how = facts.description.recipe.train.model_dump()
    most = how["epochs"] * how["rounds"]
    text = f"{facts.n_epochs} of at most {most}{in_brackets(_rounds(how['rounds']))}"
    if facts.n_epochs < most:
        text += f", stopped after {how['patience']} without a better `{how['monitor']}`"
    why = f"the best by `{how['monitor']}`" if how["keep"] == "best" else "the last"
    return f"{text}; kept: epoch {facts.description.kept_epoch}, {why}"


def _rounds(n: int) -> str:
    return f"{n} rounds" if n > 1 else ""
