"""Write a trained model as one ONNX file, or as a folder for a model hub.

A name that ends in .onnx is the file: waveform in, probability and novelty out, where the features allow it,
otherwise from the features on. It is compared with the model's own answers before it is kept. Any other name
is a folder, which has that file, too, beside weights, model.json, and the model card with a hub's header.
Nothing is uploaded.
"""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.asking.options import chosen, parser, say
from stages.core.errors import EncoreError
from stages.core.runtime import prepare_for_torch
from stages.core.workspace import new_folder
from stages.entry import caller
from stages.entry.command import run_parsed

if TYPE_CHECKING:
    from stages.asking.options import Chosen
    from stages.exporting.network import Whole
    from stages.exporting.origin import Origin

SUFFIX = ".onnx"


def main(options: Namespace) -> None:
    """Write what the command line names, and say what it is."""
    where = _free(options.where)
    prepare_for_torch()
    from stages.exporting.network import Whole
    from stages.exporting.origin import origin
    from stages.inference.listening import Inputs
    from stages.training.trained import TrainedModel

    model = chosen(options)
    say(options, f"model: {model.name}")
    trained = TrainedModel.load(model.folder)
    whole = Whole(trained, Inputs(trained.description.input, model.encoder))
    about = origin(trained.description, model.metrics)
    if where.suffix == SUFFIX:
        answer, lines = _write_file(whole, about, where)
    else:
        answer, lines = _write_folder(whole, about, model, where)
    say(options, *lines)
    written = str(where.resolve())
    answer = {"model": model.name, "written": written, **answer}
    print(json.dumps(answer, indent=2, ensure_ascii=False) if options.json else written)


def _free(word: str) -> Path:
    """Return the path that a user has typed, if nothing is there yet."""
    path = caller.given(word)
    if path.exists() or path.is_symlink():
        raise EncoreError(f"{word}: is there already; choose another name, or delete it")
    if not path.parent.is_dir():
        raise EncoreError(f"{word}: there is no folder {path.parent}")
    return path


def _write_file(whole: "Whole", about: "Origin", path: Path) -> tuple[dict[str, Any], list[str]]:
    """Write the ONNX file; return what is to be said of it, as an object and in lines."""
    from stages.exporting import onnx_file
    from stages.exporting.signals import made_up, of_the_project

    given = whole.trained.description.input
    length, rate_hz = given.segment_length, given.sample_rate_hz
    music = of_the_project(length, rate_hz)
    difference = onnx_file.write(whole, about.summary, [made_up(length, rate_hz), music], path)
    takes = "segments of the waveform"
    if whole.without_layer:
        takes = (
            f"the features {', '.join(whole.inputs)}, since {', '.join(whole.without_layer)} cannot be in it"
        )
    found = " and ".join(f"{value:.1e} of {name}" for name, value in difference.items())
    lines = [
        f"{path.name} takes {takes}; {path.stat().st_size:,} bytes",
        f"its answers to {len(music)} segments of the project's music, and to made-up ones, differ from the "
        f"model's by at most {found}",
    ]
    return {"inputs": [*whole.inputs], "difference": difference, "music_segments": len(music)}, lines


def _write_folder(
    whole: "Whole", about: "Origin", model: "Chosen", path: Path
) -> tuple[dict[str, Any], list[str]]:
    """Write the folder; return what is to be said of it, as an object and in lines."""
    from stages.exporting import hub

    with new_folder(path) as folder:
        hub.check(about, model.folder)
        answer, lines = _write_file(whole, about, folder / hub.ONNX)
        files = hub.write(about, whole, model.folder, folder)
    lines = [
        *lines,
        f"beside it: {', '.join(name for name in files if name != hub.ONNX)}",
        f"licence of the music: {about.source['licence']}",
        "nothing is uploaded; before you do: are the names of tracks in README.md and novelty.csv private?",
    ]
    if encoder := about.description.input.settings.get("encoder"):
        lines.append(
            f"{Path(encoder['path']).name} is not in it: add it as encoder.onnx, if its licence allows"
        )
    return answer | {"files": files}, lines


def parse(words: Sequence[str] | None = None) -> Namespace:
    """Read the words of the command line; or end, with help or what is wrong with them."""
    asked = parser(__doc__, "encore export")
    asked.add_argument("where", metavar="TO", help="a new file, such as genres.onnx, or a new folder")
    return asked.parse_args(words)


if __name__ == "__main__":
    run_parsed(lambda: main(parse()))
