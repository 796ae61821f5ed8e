"""The training loop."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn, split
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models import Classifier
from models.nearest_prototype import NearestPrototype
from stages.core.errors import EncoreError
from stages.core.tables import Epoch
from stages.training.augmentation import Augmentation
from stages.training.batches import Batches, sizes, windows
from stages.training.best_epoch import BestEpoch
from stages.training.checkpoints import Checkpoint
from stages.training.losses import Loss
from stages.training.recipe import Recipe, TrainParams
from stages.training.schedules import LRSchedule
from stages.training.validation import place_prototypes, validate

LINES = 50  # along which a step of L-BFGS searches, at most

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class FitResult:
    """The result of a training.

    Attributes
    ----------
    history : list of Epoch
    kept_epoch : int
        Number of the epoch whose weights the model has.
    rounds : list of dict
        Weights at the end of each round, if there are several.
    """

    history: list[Epoch]
    kept_epoch: int
    rounds: list[Weights]


class Training:
    """A training: optimiser, LR schedule, data and network together.

    Epochs are counted from 1 over all rounds. All random numbers of an epoch (order, dropout, augmentation)
    follow from the seed and its number alone, so that a checkpoint needs no state of random generators.
    Several processes share each batch, and together take the same step as one process would.

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
        self._params = params = recipe.train
        self._lr_params = recipe.schedule
        self._fabric = fabric
        self._train = train
        self._valid = valid
        self._loss = loss
        self._augmentation = augmentation
        self._kernels = [p for p in model.parameters() if p.ndim > 1]
        network = model.network if isinstance(model, NearestPrototype) else model
        self._network = fabric.setup_module(
            cast(nn.Module, torch.compile(network)) if params.compile else network
        )
        self._average: AveragedModel | None = None
        if params.ema_decay is not None:
            self._average = AveragedModel(
                model, multi_avg_fn=_moving_average(params.ema_decay), use_buffers=True
            )
        self._history: list[Epoch] = []
        self._best = BestEpoch(params.monitor, params.patience)
        self._rounds: list[Weights] = []
        self._begin_round()

    def fit(self, checkpoint: Checkpoint, on_epoch: Callable[..., None]) -> FitResult:
        """Train to the end, from the epoch after that of `checkpoint`, if it has one.

        Afterwards the model has the weights that are to be kept.

        Parameters
        ----------
        checkpoint : Checkpoint
            Written after every epoch.
        on_epoch : callable
            Called with the row of each epoch that the checkpoint has, then with the row and the seconds of
            each new epoch at its end.

        Raises
        ------
        EncoreError
            If the validation loss was never finite, or is not in the last epoch where that is kept.
        """
        from tqdm import tqdm

        self._resume(checkpoint, on_epoch)
        done, params = len(self._history), self._params
        last_epoch = params.epochs * params.rounds
        disable = None if self._fabric.is_global_zero else True
        with tqdm(desc="train", unit="epoch", initial=done, total=last_epoch, disable=disable) as progress:
            for epoch in range(done + 1, last_epoch + 1):
                if self._best.is_out_of_patience:
                    break
                if epoch > 1 and self._is_end_of_round(epoch - 1):
                    self._begin_round()
                started = time.perf_counter()
                row = self._run_epoch(epoch)
                self._history.append(row)
                self._save(row, checkpoint)
                on_epoch(row, time.perf_counter() - started)
                progress.update()
                progress.set_postfix(
                    valid_loss=f"{row.valid_loss:.3f}", valid_accuracy=f"{row.valid_accuracy:.3f}"
                )
        return self._finish()

    def _begin_round(self) -> None:
        """Start with a fresh optimiser and LR schedule."""
        params = self._params
        self._optimizer = make_optimizer(self._model, params)
        self._fabric_optimizer = cast(torch.optim.Optimizer, self._fabric.setup_optimizers(self._optimizer))
        steps_per_epoch = len(sizes(len(self._train), params.batch_size * params.accumulate))
        self._lr_schedule = LRSchedule(
            self._optimizer, self._lr_params, steps_per_epoch, params.epochs, self._best.higher_is_better
        )

    def _is_end_of_round(self, epoch: int) -> bool:
        return epoch % self._params.epochs == 0

    @property
    def _validated(self) -> nn.Module:
        """What is validated and kept: the network, or the moving average of its weights."""
        return self._model if self._average is None else self._average.module

    def _run_epoch(self, epoch: int) -> Epoch:
        """Train on all segments once, and validate."""
        train_loss, train_accuracy, rate = self._train_epoch(epoch)
        with self._fabric.autocast():
            if isinstance(self._validated, NearestPrototype):  # no output stands for a class before this
                train_accuracy = place_prototypes(self._validated, self._train)
            scores = validate(self._validated, self._valid, self._loss)
        # normalisation has other running statistics in each process: those of the first one count
        valid_loss, valid_accuracy = self._fabric.broadcast(scores)
        self._lr_schedule.after_epoch(valid_accuracy if self._best.higher_is_better else valid_loss)
        return Epoch(epoch, train_loss, train_accuracy, valid_loss, valid_accuracy, rate)

    def _train_epoch(self, epoch: int) -> tuple[float, float, float]:
        """Take the steps of an epoch; return mean training loss, accuracy, and the last step's rate."""
        fabric, params = self._fabric, self._params
        random = np.random.default_rng([params.seed, epoch, fabric.global_rank])
        torch.manual_seed(int(random.integers(2**63)))
        size = params.batch_size * params.accumulate
        order = windows(len(self._train), self._train.segment_bytes, size, [params.seed, epoch])
        self._network.train()
        sums, rate = torch.zeros(2, device=fabric.device), 0.0
        for x, label in self._train.shuffled(order, size):
            rate = self._optimizer.param_groups[0]["lr"]
            sums += self._step(x, label)
            self._lr_schedule.after_step()
            if self._average is not None:
                self._average.update_parameters(self._model)
        sums = cast(Tensor, fabric.all_reduce(sums, reduce_op="sum"))
        loss, accuracy = (sums / len(self._train)).tolist()
        return loss, accuracy, rate

    def _step(self, x: Tensor, label: Tensor) -> Tensor:
        """Take one step of the optimiser; return the sums of loss and hits over this process's segments (2,).

        The step's segments are cut into batches, whose gradients add up.
        """
        fabric, params = self._fabric, self._params
        x, label, weight = self._share(x, label)
        cuts = sizes(len(x), math.ceil(params.batch_size / fabric.world_size))
        batches = list(zip(split(x, cuts), split(label, cuts), strict=True))
        if params.optimizer == "lbfgs":
            return self._search(batches, weight)
        sums, _ = self._differentiate(batches, weight)
        if params.clip_norm is not None:
            fabric.clip_gradients(
                self._network, self._fabric_optimizer, max_norm=params.clip_norm, error_if_nonfinite=False
            )
        self._fabric_optimizer.step()
        self._fabric_optimizer.zero_grad()
        return sums

    def _search(self, batches: Sequence[tuple[Tensor, Tensor]], weight: float) -> Tensor:
        """Take a step of L-BFGS, which evaluates loss and gradient several times; return the last sums."""
        last = torch.zeros(2)

        def evaluate() -> Tensor:
            nonlocal last
            self._optimizer.zero_grad()
            last, minimised = self._differentiate(batches, weight)
            # all processes must take the same way
            minimised = cast(Tensor, self._fabric.all_reduce(minimised, reduce_op="mean"))
            # torch's L-BFGS takes no weight decay, so the loss gets it as a penalty
            for group in self._model.parameter_groups():
                decay = group.get("weight_decay", self._params.weight_decay)
                if decay:
                    penalty = decay / 2 * sum(p.square().sum() for p in group["params"])
                    penalty.backward()
                    minimised = minimised + penalty.detach()
            return minimised

        self._fabric_optimizer.step(evaluate)  # type: ignore[arg-type]
        return last

    def _differentiate(
        self, batches: Sequence[tuple[Tensor, Tensor]], weight: float
    ) -> tuple[Tensor, Tensor]:
        """Add the gradients of batches up; return the sums of loss and hits (2,), and what is minimised."""
        fabric, params = self._fabric, self._params
        sums = torch.zeros(2, device=fabric.device)
        total = torch.zeros((), device=fabric.device)
        for i, batch in enumerate(batches):
            is_last = i == len(batches) - 1
            with fabric.no_backward_sync(self._network, enabled=not is_last):
                loss, hits = self._forward(*batch)
                minimised = loss * weight
                if params.l1 and is_last:
                    minimised = minimised + params.l1 * sum(kernel.abs().sum() for kernel in self._kernels)
                fabric.backward(minimised)
            total = total + minimised.detach()  # in double precision if the model is
            if weight:
                sums += torch.stack([loss.detach(), hits])
        return sums, total

    def _share(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return this process's segments of a step, their labels, and the weight of each in the loss.

        Processes' gradients are averaged, so that weights over the step's segments sum to the number of
        processes. Segments that are too few to share all count in the first process; the others compute
        them with a weight of 0, because all must take part in the exchange of gradients.
        """
        rank, n_processes, n_segments = self._fabric.global_rank, self._fabric.world_size, len(label)
        weight = n_processes / n_segments
        if n_segments >= 2 * n_processes:
            return x[rank::n_processes], label[rank::n_processes], weight
        return x, label, weight if rank == 0 else 0.0

    def _forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the loss over a batch, and the number of segments that are predicted right.

        Of a segment with several answers they are the means over these.
        """
        target = nn.functional.one_hot(label, self._loss.n_classes).float()
        x, target = self._augmentation(x, target)
        output = self._network(x)
        n_answers = 1
        if output.ndim == 3:
            n_answers = output.shape[1]
            output, target = output.flatten(0, 1), target.repeat_interleave(n_answers, dim=0)
        hits = (output.detach().argmax(1) == target.argmax(1)).sum()
        return self._loss(output, target.to(output.dtype)).sum() / n_answers, hits / n_answers

    def _save(self, row: Epoch, checkpoint: Checkpoint) -> None:
        """Keep what a resumed training needs: the weights before the state that refers to them."""
        params, replaced = self._params, self._best.epoch
        is_best = self._best.update(row) and params.keep == "best"
        is_end_of_round = params.rounds > 1 and self._is_end_of_round(row.epoch)
        if is_best or is_end_of_round:
            weights = copy.deepcopy(self._validated.state_dict())
            checkpoint.keep_weights(row.epoch, weights)
            if is_best:
                self._best.weights = weights
            if is_end_of_round:
                self._rounds.append(weights)
        checkpoint.save(
            {
                "history": [astuple(each) for each in self._history],
                "model": self._model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "lr_schedule": self._lr_schedule.state_dict(),
                "precision": self._fabric.strategy.precision.state_dict(),
                "average": self._average and self._average.state_dict(),
            }
        )
        if is_best and replaced and (params.rounds == 1 or not self._is_end_of_round(replaced)):
            checkpoint.drop_weights(replaced)

    def _resume(self, checkpoint: Checkpoint, on_epoch: Callable[[Epoch], None]) -> None:
        """Continue after the epoch of the checkpoint, if it has one and is complete."""
        state, self._best, self._rounds = self._fabric.broadcast(self._load(checkpoint))
        if state is None:
            return
        self._history = [Epoch(*row) for row in state["history"]]
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._lr_schedule.load_state_dict(state["lr_schedule"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        for row in self._history:
            on_epoch(row)

    def _load(self, checkpoint: Checkpoint) -> tuple[dict[str, Any] | None, BestEpoch, list[Weights]]:
        """Return a checkpoint's state, its best epoch, and the weights of its rounds; None if incomplete."""
        params, state = self._params, checkpoint.load()
        nothing = None, self._best, self._rounds
        if state is None:
            return nothing
        best = BestEpoch(params.monitor, params.patience)
        for row in state["history"]:
            best.update(Epoch(*row))
        if params.keep == "best" and best.epoch:
            weights = checkpoint.load_weights(best.epoch)
            if weights is None:
                return nothing
            best.weights = weights
        ends = range(params.epochs, len(state["history"]) + 1, params.epochs) if params.rounds > 1 else ()
        rounds = [weights for end in ends if (weights := checkpoint.load_weights(end)) is not None]
        return (state, best, rounds) if len(rounds) == len(ends) else nothing

    def _finish(self) -> FitResult:
        """Give the model the weights that are to be kept."""
        last, keeps_best = self._history[-1], self._params.keep == "best"
        if not self._best.epoch:
            raise EncoreError("training diverged: valid_loss was never a number; lower train.learning_rate")
        if not keeps_best and not math.isfinite(last.valid_loss):
            raise EncoreError(
                "training diverged: valid_loss of the last epoch is no number; lower train.learning_rate"
            )
        self._model.load_state_dict(self._best.weights if keeps_best else self._validated.state_dict())
        kept_epoch = self._best.epoch if keeps_best else last.epoch
        return FitResult(self._history, kept_epoch, self._rounds)


def make_optimizer(model: Classifier, params: TrainParams) -> torch.optim.Optimizer:
    """Return the optimiser that `params` names; a parameter group's own weight decay has precedence."""
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": partial(torch.optim.SGD, momentum=params.momentum),
    }
    if params.optimizer == "lbfgs":
        return torch.optim.LBFGS(
            list(model.parameters()),
            lr=params.learning_rate,
            max_iter=LINES,
            tolerance_grad=1e-9,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )
    # a fused one unscales float16 gradients itself, too late to clip them
    fused = params.precision != "16-mixed" or params.clip_norm is None
    return optimizers[params.optimizer](
        model.parameter_groups(), lr=params.learning_rate, weight_decay=params.weight_decay, fused=fused
    )


def _moving_average(decay: float) -> Callable[..., None]:
    """Return what `AveragedModel` does with tensors of one dtype: integers, such as codes, are copied."""
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        if averaged[0].is_floating_point():
            average(averaged, current, n_averaged)
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    return update
