"""The training loop."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricOptimizer
from torch import Tensor, nn, split
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models import Classifier
from models.nearest_prototype import NearestPrototype
from stages.core.errors import EncoreError
from stages.core.tables import Epoch
from stages.training.augmentation import Augmentation
from stages.training.batches import Batches, sizes, windows
from stages.training.checkpoints import Checkpoint
from stages.training.losses import Loss
from stages.training.recipe import Recipe, TrainParams
from stages.training.schedules import Course

Weights = dict[str, Tensor]


@dataclass
class Fitted:
    """What a training has come to.

    Attributes
    ----------
    history : list of Epoch
    best : int
        Number of the best epoch by `train.monitor`; 0: no epoch was any good.
    weights : dict
        Those of the best epoch; empty: it is the last one that is kept.
    rounds : list of dict
        Weights at the end of each round, if there are several.
    """

    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    weights: Weights = field(default_factory=dict)
    rounds: list[Weights] = field(default_factory=list)


def make_optimizer(model: Classifier, params: TrainParams) -> torch.optim.Optimizer:
    """The optimiser that `params` names over the model's parameter groups; a group's own decay goes first."""
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": partial(torch.optim.SGD, momentum=params.momentum),
    }
    # a fused one unscales float16 gradients itself, too late to clip them
    fused = params.precision != "16-mixed" or params.clip_norm is None
    return optimizers[params.optimizer](
        model.parameter_groups(), lr=params.learning_rate, weight_decay=params.weight_decay, fused=fused
    )


def _moving_average(decay: float) -> Callable[..., None]:
    """What `AveragedModel` does with tensors of one dtype: whole numbers, such as codes, are no averages."""
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        if averaged[0].is_floating_point():
            average(averaged, current, n_averaged)
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    return update


class Training:
    """A training.

    Epochs are counted from 1 over all rounds. What an epoch draws (order, dropout, augmentation) follows
    from the seed and its number alone, so that a checkpoint needs no state of random generators. Several
    processes share each batch, and take the step that one would take.

    Parameters
    ----------
    model : Classifier
        Trained in place.
    recipe : Recipe
    fabric : Fabric
        Launched.
    train, valid : Batches
    loss : Loss
    augmentation : Augmentation
    """

    def __init__(
        self,
        model: Classifier,
        recipe: Recipe,
        fabric: Fabric,
        train: Batches,
        valid: Batches,
        loss: Loss,
        augmentation: Augmentation,
    ):
        self._model = model
        self._params = recipe.train
        self._schedule = recipe.schedule
        self._fabric = fabric
        self._train = train
        self._valid = valid
        self._loss = loss
        self._augmentation = augmentation
        self._kernels = [p for p in model.parameters() if p.ndim > 1]
        trainee = model.network if isinstance(model, NearestPrototype) else model
        self._network = fabric.setup_module(
            cast(nn.Module, torch.compile(trainee)) if self._params.compile else trainee
        )
        self._average: AveragedModel | None = None
        if self._params.ema_decay is not None:
            self._average = AveragedModel(
                model, multi_avg_fn=_moving_average(self._params.ema_decay), use_buffers=True
            )
        self._fitted = Fitted()
        self._begin_round()

    def fit(self, checkpoint: Checkpoint, on_epoch: Callable[..., None]) -> Fitted:
        """Train to the end, from where `checkpoint` says that this training stood.

        Afterwards the model has the weights that are to be kept.

        Parameters
        ----------
        checkpoint : Checkpoint
            Written after every epoch.
        on_epoch : callable
            Told of each epoch: those done before, and each new one with its seconds as it ends.

        Raises
        ------
        EncoreError
            If the monitored metric was never a number.
        """
        from tqdm import tqdm

        self._resume(checkpoint, on_epoch)
        history, params = self._fitted.history, self._params
        n_epochs = params.epochs * params.rounds
        quiet = None if self._fabric.is_global_zero else True
        with tqdm(
            desc="train", unit="epoch", initial=len(history), total=n_epochs, disable=quiet
        ) as progress:
            while len(history) < n_epochs and not self._is_waiting_in_vain():
                if history and len(history) % params.epochs == 0:
                    self._begin_round()
                started = time.perf_counter()
                row = self._epoch(len(history) + 1)
                history.append(row)
                self._save(checkpoint)
                on_epoch(row, time.perf_counter() - started)
                progress.update()
                progress.set_postfix(
                    valid_loss=f"{row.valid_loss:.3f}", valid_accuracy=f"{row.valid_accuracy:.3f}"
                )
        if not self._fitted.best:
            raise EncoreError("training diverged: valid_loss was never a number; lower train.learning_rate")
        if params.keep == "last" and not math.isfinite(history[-1].valid_loss):
            raise EncoreError(
                "training diverged: valid_loss of the last epoch is no number; lower train.learning_rate"
            )
        self._model.load_state_dict(self._fitted.weights or self._judged.state_dict())
        return self._fitted

    @property
    def _judged(self) -> nn.Module:
        """What is validated and kept: the network, or the moving average of its weights."""
        return self._model if self._average is None else self._average.module

    @property
    def _higher_is_better(self) -> bool:
        return self._params.monitor == "valid_accuracy"

    def _begin_round(self) -> None:
        params = self._params
        self._optimizer = make_optimizer(self._model, params)
        self._stepper = cast(_FabricOptimizer, self._fabric.setup_optimizers(self._optimizer))
        per_epoch = len(sizes(len(self._train), params.batch_size * params.accumulate))
        self._course = Course(
            self._optimizer, self._schedule, per_epoch, params.epochs, self._higher_is_better
        )

    def _epoch(self, epoch: int) -> Epoch:
        fabric, params = self._fabric, self._params
        drawn = np.random.default_rng([params.seed, epoch, fabric.global_rank])
        torch.manual_seed(int(drawn.integers(2**63)))
        size = params.batch_size * params.accumulate
        order = windows(len(self._train), self._train.segment_bytes, size, [params.seed, epoch])
        self._network.train()
        sums = torch.zeros(2, device=fabric.device)
        for x, label in self._train.shuffled(order, size):
            sums += self._step(x, label)
            self._course.after_step()
            if self._average is not None:
                self._average.update_parameters(self._model)
        sums = cast(Tensor, fabric.all_reduce(sums, reduce_op="sum"))
        loss, hits = (sums / len(self._train)).tolist()
        with fabric.autocast():  # each process has statistics of norms of its own: the first one's count
            if isinstance(self._judged, NearestPrototype):  # whose outputs say no class before this
                hits = place_prototypes(self._judged, self._train)
            judged = judge(self._judged, self._valid, self._loss)
        valid_loss, valid_accuracy = fabric.broadcast(judged)
        self._course.after_epoch(valid_accuracy if self._higher_is_better else valid_loss)
        rate = self._optimizer.param_groups[0]["lr"]
        return Epoch(epoch, loss, hits, valid_loss, valid_accuracy, rate)

    def _step(self, x: Tensor, label: Tensor) -> Tensor:
        """One step of the optimiser; the sums of loss and hits over this process's segments (2,)."""
        fabric, params, total = self._fabric, self._params, len(label)
        rank, world = fabric.global_rank, fabric.world_size
        share = world / total  # processes' gradients are averaged
        if total >= 2 * world:
            x, label = x[rank::world], label[rank::world]
        elif rank > 0:  # too few to share: the first one takes them all, the others wait for its gradient
            share = 0.0
        cuts = sizes(len(x), math.ceil(params.batch_size / world))
        parts = list(zip(split(x, cuts), split(label, cuts), strict=True))
        sums = torch.zeros(2, device=fabric.device)
        for i, (part, classes) in enumerate(parts):
            is_last = i == len(parts) - 1
            with fabric.no_backward_sync(self._network, enabled=not is_last):
                target = nn.functional.one_hot(classes, self._loss.n_classes).float()
                part, target = self._augmentation(part, target)
                output = self._network(part)
                loss = self._loss(output, target).sum()
                penalised = loss * share
                if params.l1 and is_last:
                    penalised = penalised + params.l1 * sum(kernel.abs().sum() for kernel in self._kernels)
                fabric.backward(penalised)
            if share:
                hits = (output.detach().argmax(1) == target.argmax(1)).sum()
                sums += torch.stack([loss.detach(), hits])
        if params.clip_norm is not None:
            fabric.clip_gradients(
                self._network, self._stepper, max_norm=params.clip_norm, error_if_nonfinite=False
            )
        self._stepper.step()
        self._stepper.zero_grad()
        return sums

    def _is_waiting_in_vain(self) -> bool:
        patience = self._params.patience
        return patience is not None and len(self._fitted.history) - self._fitted.best >= patience

    def _save(self, checkpoint: Checkpoint) -> None:
        """Judge the last epoch and keep what a restart needs, the weights before what names them."""
        fitted, params, epoch = self._fitted, self._params, len(self._fitted.history)
        outdone = self._note_if_best(epoch)
        is_end_of_round = params.rounds > 1 and epoch % params.epochs == 0
        keeps_best = params.keep == "best" and fitted.best == epoch
        if is_end_of_round or keeps_best:
            weights = copy.deepcopy(self._judged.state_dict())
            checkpoint.keep_weights(epoch, weights)
            if is_end_of_round:
                fitted.rounds.append(weights)
            if keeps_best:
                fitted.weights = weights
        checkpoint.save(
            {
                "history": [astuple(row) for row in fitted.history],
                "best": fitted.best,
                "model": self._model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "course": self._course.state_dict(),
                "precision": self._fabric.strategy.precision.state_dict(),
                "average": self._average and self._average.state_dict(),
            }
        )
        if outdone and (params.rounds == 1 or outdone % params.epochs):
            checkpoint.drop_weights(outdone)

    def _note_if_best(self, epoch: int) -> int:
        """Make `epoch` the best one if it is; the one that it outdoes, or 0."""
        fitted, sign = self._fitted, 1 if self._higher_is_better else -1
        values = [sign * getattr(row, self._params.monitor) for row in fitted.history]
        is_number = math.isfinite(fitted.history[-1].valid_loss)
        if not is_number or (fitted.best and values[-1] <= values[fitted.best - 1]):
            return 0
        outdone, fitted.best = fitted.best, epoch
        return outdone

    def _resume(self, checkpoint: Checkpoint, on_epoch: Callable[[Epoch], None]) -> None:
        """Go on where the checkpoint says, if it is whole."""
        state, fitted = self._fabric.broadcast(self._read(checkpoint))
        if state is None:
            return
        self._fitted = fitted
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._course.load_state_dict(state["course"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        for row in fitted.history:
            on_epoch(row)

    def _read(self, checkpoint: Checkpoint) -> tuple[dict[str, Any] | None, Fitted]:
        params, state = self._params, checkpoint.load()
        if state is None:
            return None, Fitted()
        history = [Epoch(*row) for row in state["history"]]
        ends = range(params.epochs, len(history) + 1, params.epochs) if params.rounds > 1 else ()
        rounds = [checkpoint.load_weights(epoch) for epoch in ends]
        keeps_best = params.keep == "best" and state["best"] > 0
        best = checkpoint.load_weights(state["best"]) if keeps_best else {}
        if best is None or None in rounds:
            return None, Fitted()
        return state, Fitted(history, state["best"], best, [weights for weights in rounds if weights])


@torch.no_grad()
def place_prototypes(model: NearestPrototype, data: Batches) -> float:
    """Put each class's prototype amid its segments; returns the share of segments that it is nearest to."""
    model.eval()
    embedding, label = _outputs(model.embed, data)
    model.place(embedding, label)
    return (model.squared_distance(embedding).argmin(1) == label).float().mean().item()


@torch.no_grad()
def judge(network: nn.Module, data: Batches, loss: Loss) -> tuple[float, float]:
    """Mean loss and accuracy over segments, without smoothing and weights."""
    network.eval()
    loss_sum = hits = 0.0
    for x, label in data.in_order():
        logits = network(x).float()
        target = nn.functional.one_hot(label, logits.shape[1]).float()
        loss_sum += loss.plain(logits, target).sum().item()
        hits += (logits.argmax(1) == label).sum().item()
    return loss_sum / len(data), hits / len(data)


@torch.no_grad()
def calibrate(model: NearestPrototype, data: Batches) -> None:
    """Set the temperature at which the labels of `data` are most likely (Guo et al., 2017)."""
    from scipy.optimize import minimize_scalar

    model.eval()
    model.temperature.fill_(1.0)
    logits, label = _outputs(model, data)

    def mean_surprise(log_temperature: float) -> float:
        return nn.functional.cross_entropy(logits.double() / math.exp(log_temperature), label).item()

    best = minimize_scalar(mean_surprise, bounds=(math.log(1e-3), math.log(1e2)), method="bounded")
    model.temperature.fill_(math.exp(best.x))


def _outputs(network: Callable[[Tensor], Tensor], data: Batches) -> tuple[Tensor, Tensor]:
    """What a network makes of all segments in order, and their labels."""
    outputs, labels = zip(*((network(x), label) for x, label in data.in_order()), strict=True)
    return torch.cat(outputs), torch.cat(labels)
