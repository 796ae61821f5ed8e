"""What the model is and how it was trained: what was in effect, and nothing that was not."""

from collections.abc import Mapping
from typing import Any

from stages.reports.card.facts import Facts
from stages.reports.card.markup import assignments, code, counted, escaped, in_brackets
from stages.training.description import ModelInput
from stages.training.loss_params import LossParams, MetricLossParams
from stages.training.recipe import TrainParams
from stages.training.schedule_params import Schedule

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "lbfgs": "L-BFGS"}
LOSSES = {
    "cross_entropy": "cross-entropy",
    "binary_cross_entropy": "binary cross-entropy, a sigmoid for each class",
    "triplet": "triplets of embeddings; the class with the nearest prototype is predicted",
    "supcon": "supervised contrast of embeddings; the class with the nearest prototype is predicted",
}
SCALERS = {
    "bins": "each bin standardised over the training segments",
    "example": "each segment standardised",
    "none": "none",
}
# Of a feature's settings, what the rows `input` and `frames` say, and the limits.
SHOWN_ELSEWHERE = (
    "framing",
    "hop_length",
    "n_fft",
    "pad_mode",
    "sample_rate_hz",
    "trained_on",
    "window",
)


def settings(facts: Facts) -> list[tuple[str, str]]:
    """Return the rows of the table of settings.

    Parameters
    ----------
    facts : Facts

    Returns
    -------
    list of (str, str)
        Name and value; the value is Markdown.
    """
    rows = {**_model(facts), **_training(facts), **_origin(facts)}
    return [(name, value) for name, value in rows.items() if value]


def _model(facts: Facts) -> dict[str, str]:
    about, given = facts.description, facts.description.input
    own = {key: value for key, value in about.kwargs.items() if key not in ("input_shape", "n_classes")}
    n_bins, n_frames = about.kwargs["input_shape"]
    rate_hz = given.sample_rate_hz
    return {
        "model": f"{code(f'models.{about.model}')}{in_brackets(assignments(own))}, "
        f"{facts.n_parameters:,} parameters",
        "input": f"[{escaped(given.name)}](../README.md#featuresh5), {_shape(given, n_bins, n_frames)}, "
        f"of {facts.segment_s:g} s of mono audio at {rate_hz:,} Hz",
        "frames": "; ".join(
            {_frames(made, rate_hz): 0 for made in given.settings.values() if "n_fft" in made}
        ),
        "feature": "; ".join(_settings_of(given)),
        "MIDI": _midi(facts),
    }


def _duration(n_samples: int, rate_hz: int) -> str:
    return f"{n_samples:,} samples ({1000 * n_samples / rate_hz:.0f} ms)"


def _shape(given: ModelInput, n_bins: int, n_frames: int) -> str:
    if isinstance(given.feature, str):
        return f"{n_bins} bins by {n_frames} frames"
    return f"{n_bins} statistics over time"


def _frames(made: Mapping[str, Any], rate_hz: int) -> str:
    return (
        f"{_duration(made['n_fft'], rate_hz)} every {_duration(made['hop_length'], rate_hz)}, "
        f"window {escaped(made['window'])}, padding {escaped(made['pad_mode'])}"
    )


def _settings_of(given: ModelInput) -> list[str]:
    """Return the settings of each feature; where there are several, after its name."""
    texts = {name: assignments(_own(made)) for name, made in given.settings.items()}
    if isinstance(given.feature, str):
        return [text for text in texts.values() if text]
    return [f"{escaped(name)}: {text}" for name, text in texts.items() if text]


def _own(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return a feature's own settings, and those of features behind it."""
    return {
        key: _own(value) if isinstance(value, Mapping) else value
        for key, value in made.items()
        if key not in SHOWN_ELSEWHERE
    }


def _midi(facts: Facts) -> str:
    if not facts.n_midi:
        return ""
    how = facts.description.rendering
    windows = "the first" if how.windows == 1 else f"up to {how.windows} windows of"
    return f"{windows} {how.window_s:g} s{', all on one instrument at one velocity' if how.control else ''}"


def _training(facts: Facts) -> dict[str, str]:
    recipe, train = facts.description.recipe, facts.description.recipe.train
    given = facts.description.input
    variants = given.variants if train.variants else []
    return {
        "optimiser": _optimizer(train),
        "schedule": _schedule(recipe.schedule),
        "loss": _loss(recipe.loss),
        "batch": _batch(train),
        "input scaling": "none: codes, one-hot" if given.is_codes else SCALERS[train.scaler],
        "augmentation": assignments(recipe.augment.model_dump()) or "none",
        "variants": ", ".join(map(code, variants)),
        "L1 penalty": f"{train.l1:g}" if train.l1 else "",
        "gradient norm": f"at most {train.clip_norm:g}" if train.clip_norm else "",
        "weights": f"moving average, decay {train.ema_decay:g} a step" if train.ema_decay else "",
        "precision": train.precision if train.precision != "32-true" else "",
        "epochs": _epochs(facts),
        "seed": str(train.seed),
    }


def _optimizer(train: TrainParams) -> str:
    text = f"{OPTIMIZERS[train.optimizer]}, learning rate {train.learning_rate:g}"
    if train.weight_decay:
        text += f", weight decay {train.weight_decay:g}"
    if train.momentum and train.optimizer == "sgd":
        text += f", momentum {train.momentum:g}"
    return text


def _schedule(schedule: Schedule) -> str:
    own = schedule.model_dump(exclude={"name", "warmup_epochs"})
    text = f"{schedule.name.replace('_', ' ')}{in_brackets(assignments(own))}"
    return f"{text}, warm-up {schedule.warmup_epochs:g} epochs" if schedule.warmup_epochs else text


def _loss(loss: LossParams) -> str:
    text = LOSSES[loss.name]
    if isinstance(loss, MetricLossParams):
        return f"{text}{in_brackets(assignments(loss.model_dump(exclude={'name'})))}"
    if loss.label_smoothing:
        text += f"; label smoothing {loss.label_smoothing:g}"
    return f"{text}; classes weighted to balance" if loss.class_weights == "balanced" else text


def _batch(train: TrainParams) -> str:
    text = counted(train.batch_size, "segment")
    return f"{text}, {train.accumulate} batches to a step" if train.accumulate > 1 else text


def _epochs(facts: Facts) -> str:
    train = facts.description.recipe.train
    most = train.epochs * train.rounds
    rounds = in_brackets(f"{train.rounds} rounds" if train.rounds > 1 else "")
    text = f"{facts.n_epochs} of at most {most}{rounds}"
    if facts.n_epochs < most:
        text += f", stopped after {train.patience} without a better {code(train.monitor)}"
    why = f"the best by {code(train.monitor)}" if train.keep == "best" else "the last"
    return f"{text}; kept: epoch {facts.description.kept_epoch}, {why}"


def _origin(facts: Facts) -> dict[str, str]:
    """Return what identifies the training, and how its scores were made."""
    about = facts.description
    return {
        "made with": escaped(about.input.made_with),
        "content key": f"{code(about.content_key)}, a tag of its MLflow run",
        "intervals": f"over {facts.units}: t of the logit; bootstrap of other scores, approximate",
        "linear baseline": "logistic regression on means and standard deviations over time",
    }
