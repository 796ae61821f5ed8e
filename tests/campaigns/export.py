"""Every model of conf/model as an ONNX file, beside PyTorch on music: `python -m tests.campaigns.export`.

It takes a project in which the pipeline has run. Each model learns for one epoch from its features, with
the recipe of its preset. A quarter of an hour; words of the command line are the models that are wanted.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns.workspace import new_workspace, run
from tests.synthetic import REPO

LONGER = {"choi_cnn"}  # takes segments of half a minute
MODELS = sorted({path.stem for path in (REPO / "conf/model").glob("*.yaml")} - LONGER)
NEEDS = {"embedding_cnn": ["loss=triplet"]}
BOUND = 1e-4


def main(names: list[str]) -> int:
    """Print a row for each model; return 1 if one differs, or cannot be exported."""
    status = 0
    print(f"{'model':<16}{'seconds':>8}{'bytes':>12}  largest difference of probability, novelty")
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            answer, seconds, path = export(name, Path(temporary))
            if isinstance(answer, str):
                print(f"{name:<16}{answer}")
            else:
                difference = answer["difference"]
                size, takes = path.stat().st_size, " + ".join(answer["inputs"])
                print(
                    f"{name:<16}{seconds:>8.1f}{size:>12,}  {difference['probability']:.1e}, "
                    f"{difference['novelty']:.1e} from {takes}, over {answer['music_segments']} of music",
                    flush=True,
                )
            status |= isinstance(answer, str) or max(answer["difference"].values()) > BOUND
    return int(status)


def export(name: str, folder: Path) -> tuple[dict | str, float, Path]:
    """Train a model and export it; return what the command says, its seconds, and the file."""
    overrides = [f"model={name}", *NEEDS.get(name, []), "train.epochs=1", "runtime.tracking='off'"]
    workspace = new_workspace(folder / "trained", *overrides, "runtime.device=cpu")
    (workspace / "data").mkdir()
    for part in ("features", "split"):
        (workspace / "data" / part).symlink_to(REPO / "data" / part)
    path = folder / "model.onnx"
    trained = run("train", workspace)
    if trained.status:
        return trained.stderr.strip().splitlines()[-1], 0.0, path
    began = time.perf_counter()
    words = ["-m", "stages.export", str(path), "--model", str(workspace / "data/model"), "--json", "--quiet"]
    done = subprocess.run([sys.executable, *words], cwd=REPO, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    return (done.stderr.strip() if done.returncode else json.loads(done.stdout)), seconds, path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or MODELS))
