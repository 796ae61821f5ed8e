"""What the same bits on every machine cost: stages with `numerics.exact` and without, in turn.

``python -m tests.campaigns.exactness [--rounds 3]``. Every stage runs on the embedded sample, each time as a
new process; train and evaluate run for each of some models, train for few epochs and without MLflow. All
other stages are exact whatever the parameter says: for them the ratio shows the noise of the machine.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.campaigns.workspace import new_workspace, run
from tests.synthetic import composed

COMMON = ("fetch", "decode", "segment", "split", "extract", "baseline")
MODELS = ("mlp", "cnn", "lstm", "encore_cnn")
FEW = ("train.epochs=5", "runtime.tracking=off", "runtime.device=cpu")
EXACT = (True, False)


def timed(stage: str, folder: Path, *overrides: str) -> float:
    """Seconds of a stage that has nothing in the work cache but the sample's music."""
    (folder / "params.yaml").write_text(composed(*FEW, *overrides), "utf-8")
    shutil.rmtree(folder / ".encore/entries", ignore_errors=True)
    if (ended := run(stage, folder)).status:
        sys.exit(ended.stderr)
    return ended.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    seconds: dict[tuple[str, bool], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = new_workspace(Path(name, "workspace"), *FEW)
        for number in range(given.rounds):
            for exact in EXACT if number % 2 else EXACT[::-1]:
                setting = f"numerics.exact={str(exact).lower()}"
                for stage in COMMON:
                    seconds.setdefault((stage, exact), []).append(timed(stage, folder, setting))
                for model in MODELS:
                    for stage in ("train", "evaluate"):
                        taken = timed(stage, folder, setting, f"model={model}")
                        seconds.setdefault((f"{stage} {model}", exact), []).append(taken)
    print(f"seconds, medians of {given.rounds} rounds; {', '.join(FEW)}")
    print(f"{'stage':<20}{'exact':>8}{'fastest':>9}{'ratio':>7}  of each round")
    for stage in dict.fromkeys(stage for stage, _ in seconds):
        exact, fastest = seconds[stage, True], seconds[stage, False]
        ratios = [a / b for a, b in zip(exact, fastest, strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{stage:<20}{median(exact):8.2f}{median(fastest):9.2f}{median(ratios):7.2f}  {each}")


if __name__ == "__main__":
    main()
