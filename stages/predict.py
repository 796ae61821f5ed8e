"""Ask a trained model for the genre of music: files, or folders with all that is in them.

encore predict song.mp3                     genre, probability, second best, novelty
encore predict ~/music --csv > genres.csv   the same of each file, and the probability of each genre
encore predict song.mp3 --over-time         for each second, too: song.mp3.csv, and a picture, song.mp3.png
encore predict fma_small --map Rock=rock    folders that are named like genres are scored

Every format that the pipeline reads is taken, at any sample rate; MIDI is played as for the training. The
answer for a file is the mean over its segments. What cannot be used is named with the reason, and the others
go on.
"""

import json
import sys
from argparse import Namespace

from stages.asking import options as shared
from stages.entry.command import run_parsed

SOME_PROBLEM = 3  # exit status


def main() -> None:
    """Print what the model says of each file that the command line names."""
    options = _options()

    from tqdm import tqdm

    from stages.asking.answers import Row, Table, csv_head, csv_line, summary
    from stages.asking.files import music_files
    from stages.asking.over_time import Pages
    from stages.asking.scoring import Score, genres
    from stages.inference.isolated import answers
    from stages.training.description import Description

    files, left_out = music_files(options.files)
    model = shared.chosen(options)
    labels, threshold = Description.load(model.folder).labels, model.threshold
    folders = genres([file.genre_folder for file in files], labels, options.map)
    pages = Pages(files, options.to, labels, threshold) if options.over_time else None
    shared.say(options, f"model: {model.name}", *model.origin, *left_out, *folders.lines)

    table, rows = Table([file.name for file in files], labels), []
    if not options.json:
        print(csv_line(csv_head(labels)) if options.csv else table.head(), flush=True)
    found = answers([file.path for file in files], model.folder, model.encoder, options.over_time)
    for file, answer in zip(files, found, strict=True):
        row = Row(file, answer.prediction, answer.problem, threshold)
        rows.append(row)
        if pages and answer.over_time:
            pages.save(row, answer.over_time)
        if not options.json:
            tqdm.write(csv_line(row.cells(labels)) if options.csv else table.line(row), file=sys.stdout)
            sys.stdout.flush()  # a pipe, too, gets each answer as soon as it is there

    scored = [row for row in rows if row.prediction is not None and row.file.genre_folder in folders.genre_of]
    learnt_from = model.learnt_from(row.file.path for row in scored)
    if learnt_from:
        shared.say(options, f"not scored: {len(learnt_from)} files that the model has learnt from")
    score = Score.of([row for row in scored if row.file.path not in learnt_from], folders.genre_of)
    if options.json:
        about = {"model": model.name, "threshold": threshold, "labels": labels}
        documents = [row.document() for row in rows]
        print(json.dumps({**about, "files": documents, "score": score and score.document()}, indent=2))
    elif score:
        print("\n".join(["", *score.lines()]), file=sys.stderr if options.csv else sys.stdout)
    shared.say(options, *summary(rows, threshold), *(pages.lines() if pages else []))
    if any(row.prediction is None for row in rows):
        sys.exit(SOME_PROBLEM)


def _options() -> Namespace:
    parser = shared.parser(__doc__, "encore predict")
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER")
    parser.add_argument("--csv", action="store_true", help="print CSV")
    parser.add_argument("--over-time", action="store_true", help="a CSV and a picture for each file, too")
    parser.add_argument("--to", metavar="FOLDER", default=".", help="where these go; else the current folder")
    parser.add_argument(
        "--map",
        metavar="FOLDER=GENRE",
        action="append",
        default=[],
        help="which genre a folder is scored as, where its name does not say it",
    )
    options = parser.parse_args()
    if options.csv and options.json:
        parser.error("choose one of --csv and --json")
    return options


if __name__ == "__main__":
    run_parsed(main)
