"""A search for good settings: Optuna asks, cells answer with validation accuracy, in rungs of epochs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import EncoreError
from stages.core.tables import Epoch, read_rows
from stages.entry.overrides import experiments, parsed
from stages.experiments.cells import Cell
from stages.experiments.shared import Shared
from stages.experiments.slot import KILLED, Slot
from stages.experiments.terminal import Show
from stages.tracking.groups import Group
from stages.training.description import Description

if TYPE_CHECKING:
    import optuna

SEED = 0  # of the sampler
EPOCHS = "train.epochs"
CORNERS = 64
WHY = "why"  # a trial failed; an attribute of it


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes
    ----------
    fixed : list of str
        Words with one value.
    ranges : dict of str to BaseDistribution
        By key.
    """

    fixed: list[str]
    ranges: "dict[str, optuna.distributions.BaseDistribution]"

    @classmethod
    def read(cls, words: Sequence[str]) -> "Space":
        """Read Hydra's words: ``a,b``, ``range(1,5)``, ``interval(0.1,0.5)``, ``tag(log,interval(1,9))``.

        Raises
        ------
        EncoreError
            If no word has a range, or one is of ``train.epochs``.
        """
        from optuna.distributions import BaseDistribution, CategoricalDistribution

        fixed: list[str] = []
        ranges: dict[str, BaseDistribution] = {}
        for word in words:
            one = parsed(word)
            key = one.get_key_element()
            if not one.is_sweep_override():
                fixed.append(word)
            elif key == EPOCHS:
                raise EncoreError(
                    f"{word}: epochs are not searched; --rungs 3,10,30 gives the best trials more"
                )
            elif one.is_interval_sweep():
                ranges[key] = _interval(word, one.value())
            else:
                values = [one_value.partition("=")[2] for (one_value,) in experiments([word])]
                ranges[key] = CategoricalDistribution(values)
        if not ranges:
            raise EncoreError(
                "no word has a range, such as 'train.learning_rate=tag(log,interval(1e-4,1e-2))'"
            )
        return cls(fixed, ranges)

    def corners(self) -> list[list[str]]:
        """Return the words of trials at the ends of all intervals, with all choices; at most `CORNERS`."""
        kinds: list[Any] = [*self.ranges.values()]
        ends = [getattr(kind, "choices", None) or (kind.low, kind.high) for kind in kinds]
        corners = islice(product(*ends), CORNERS)
        return [self.words(dict(zip(self.ranges, corner, strict=True)), 0) for corner in corners]

    def words(self, values: Mapping[str, Any], epochs: int) -> list[str]:
        """Return the words of a trial."""
        own = [f"{key}={value}" for key, value in values.items()]
        return [*self.fixed, *own, *([f"{EPOCHS}={epochs}"] if epochs else [])]


def _interval(word: str, ends: Any) -> "optuna.distributions.BaseDistribution":
    """Return Hydra's interval as Optuna has it; ``int(interval(1,5))`` is one of whole numbers."""
    from optuna.distributions import FloatDistribution, IntDistribution

    kind = IntDistribution if isinstance(ends.start, int) else FloatDistribution
    try:
        return kind(ends.start, ends.end, log="log" in ends.tags)
    except ValueError as error:
        raise EncoreError(f"{word}: {error}") from None


@dataclass(frozen=True)
class Tried:
    """A trial that has ended (``data/search/trials.csv``)."""

    trial: int
    state: str  # complete, or pruned: stopped after a rung
    valid_accuracy: float  # per segment, of the epoch that is kept; of its last rung
    words: str

    @classmethod
    def of(cls, trial: "optuna.trial.FrozenTrial") -> "Tried":
        """Return a trial of a study."""
        words = " ".join(f"{key}={value}" for key, value in trial.params.items())
        return cls(trial.number, trial.state.name.lower(), float(trial.value or 0), words)


def open_study(folder: Path, rungs: Sequence[int], code: str) -> "optuna.Study":
    """Return the study of a search, which is made if there is none.

    Parameters
    ----------
    folder : Path
    rungs : sequence of int
        Epochs of each rung; a trial goes on to the next one if it is among the best in
        ``rungs[i] / rungs[i + 1]``, on average, of those that got as far (ASHA; Li et al., 2020).
    code : str
        Hash of what trials run; those of other code are another study.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    halving = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=_reduction(rungs))
    return optuna.create_study(
        storage=f"sqlite:///{folder / 'study.db'}",
        study_name=f"{folder.name} {code}",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=SEED, constant_liar=True),
        pruner=halving if len(rungs) > 1 else optuna.pruners.NopPruner(),
    )


def _reduction(rungs: Sequence[int]) -> int:
    ratio: float = (rungs[-1] / max(1, rungs[0])) ** (1 / max(1, len(rungs) - 1))
    return max(2, round(ratio))


@dataclass
class _Started:
    """A trial, and the rung that it is at."""

    trial: "optuna.Trial"
    rung: int
    cell: Cell | None = None


class Search:
    """The trials of a search; see `stages.experiments.runner.Work`.

    Parameters
    ----------
    study : optuna.Study
    space : Space
    rungs : sequence of int
        Epochs of each rung; ``[0]``: those of the words.
    n_trials : int
    make : callable
        Makes the cell of some words, up to the stage train.
    group : Group or None
        Gets a run for each trial.
    show : Show
    """

    def __init__(
        self,
        study: "optuna.Study",
        space: Space,
        rungs: Sequence[int],
        n_trials: int,
        make: Callable[[Sequence[str]], Cell],
        group: Group | None,
        show: Show,
    ):
        from optuna.trial import Trial, TrialState

        self._study, self._space, self._rungs, self._n_trials = study, space, rungs, n_trials
        self._make, self._group, self._show = make, group, show
        self._shared = Shared()
        left = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])  # of a search that was killed
        last = len(rungs) - 1  # the rung of a trial that was killed between its report and its end
        self._waiting = [
            _Started(Trial(study, one._trial_id), min(len(one.intermediate_values), last)) for one in left
        ]
        self._running: dict[str, _Started] = {}
        self.n_killed = 0

    def next(self, running: Sequence[Cell]) -> Cell | None:
        """Return the next rung of a trial that has come so far, else a new trial."""
        if not self._waiting and len(self._study.get_trials(deepcopy=False)) < self._n_trials:
            self._waiting.append(_Started(self._study.ask(self._space.ranges), 0))
        for started in [*self._waiting]:
            words = self._space.words(started.trial.params, self._rungs[started.rung])
            try:
                started.cell = started.cell or self._make(words)
            except EncoreError as error:  # values that do not go together
                self._waiting.remove(started)
                self._fail(started.trial, str(error))
                return self.next(running)
            # an equal trial waits, and is then found in DVC's cache
            if started.cell.name not in self._running and self._shared.may_start(started.cell, running):
                self._waiting.remove(started)
                self._running[started.cell.name] = started
                return started.cell
        return None

    def tags(self, cell: Cell) -> Mapping[str, str]:
        """Return nothing: the run of a trial is logged when it has ended."""
        return {}

    def changed(self, running: Sequence[Cell]) -> None:
        """Show what runs."""
        done = [one for one in self._study.get_trials(deepcopy=False) if one.state.is_finished()]
        values = [float(one.value or 0) for one in done if one.state.name == "COMPLETE"]
        best = [f"best {max(values):.3f}"] if values else []
        self._show(len(done), ", ".join([*best, *(cell.name for cell in running)]))

    def ended(self, cell: Cell, slot: Slot, why: str, said: str) -> str:
        """Tell Optuna how good a trial is on validation, and whether it goes on."""
        from optuna.trial import TrialState

        started = self._running.pop(cell.name)
        trial = started.trial
        if why.startswith(KILLED):  # not the trial's fault: it is still to be done
            self.n_killed += 1
            return why
        if why:
            self._fail(trial, why)
            return why
        self._shared.add(cell)
        history = read_rows(slot.folder / "data/model/history.csv", Epoch)
        kept = Description.load(slot.folder / "data/model").kept_epoch
        value = history[kept - 1].valid_accuracy
        trial.report(value, _reduction(self._rungs) ** started.rung)  # the pruner's own steps
        is_last = started.rung + 1 == len(self._rungs)
        if is_last:
            self._log(trial, history, "")
            self._study.tell(trial, value)
        elif trial.should_prune():
            self._log(trial, history, f"stopped after rung {started.rung + 1}")
            self._study.tell(trial, state=TrialState.PRUNED)  # its value is what was reported last
        else:
            self._waiting.insert(0, _Started(trial, started.rung + 1))
        return ""

    def _fail(self, trial: "optuna.Trial", why: str) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr(WHY, why)
        self._log(trial, [], why)
        self._study.tell(trial, state=TrialState.FAIL)

    def _log(self, trial: "optuna.Trial", history: Sequence[Epoch], note: str) -> None:
        if self._group:
            values = {key: str(value) for key, value in trial.params.items()}
            self._group.log_trial(trial.number, values, history, note)
