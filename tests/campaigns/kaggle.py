"""What a user gets when Kaggle, the network or the disk fails: the real stage against a loopback Kaggle.

``python -m tests.campaigns.kaggle [--seed N]``, as root for a disk that is really full. Only the client's
waits between its retries are left out, and the download ends after 1 s of silence instead of 60.
"""

import argparse
import hashlib
import random
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stages.sources.disk import disk_full
from stages.sources.gtzan import ARCHIVE, DATASET, NEEDS
from stages.sources.kaggle import page
from tests.kaggle_server import Kaggle, member, run_stage, write_artists, zipped

CLIPS = ["blues.00000", "jazz.00033", "jazz.00054", "rock.00099"]
MB = 2**20
N_CUTS = 10


def gtzan_zip(rng: random.Random, n_mb: int, clip_bytes: int = 1000) -> bytes:
    """Kaggle's layout: the clips, and images that make up the megabytes."""
    clips = {member(track_id): b"RIFF" + rng.randbytes(clip_bytes) for track_id in CLIPS}
    return zipped({"Data/images.bin": rng.randbytes(n_mb * MB)} | clips)


def archive_below(folder: Path) -> Path:
    return folder / f".encore/downloads/{ARCHIVE}"


class Campaign:
    """Runs the stage, compares its end with the expected one, and prints a line for each case."""

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.n_failed = 0

    def workspace(self, name: str, size: int | None = None) -> Path:
        """Make a folder; with a `size`, on a new file system of so many bytes."""
        folder = self.scratch / name.replace(" ", "-")
        folder.mkdir()
        if size:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        write_artists(folder / "artists.csv", CLIPS)
        return folder

    def expect(self, name: str, is_met: bool, seen: str) -> None:
        self.n_failed += not is_met
        print(f"{'ok' if is_met else 'FAILED':6}  {name:32}  {seen}", flush=True)

    def fails(self, name: str, line: str, folder: Path, url: str, **given: Any) -> None:
        """Expect exit status 1 and one line that contains `line`, and no data/raw."""
        ended = run_stage(folder, url, **given)
        is_met = (ended.returncode, ended.stdout) == (1, "") and not (folder / "data/raw").exists()
        is_met &= line in ended.stderr and ended.stderr.count("\n") == 1
        self.expect(name, is_met, f"exit {ended.returncode}: {ended.stderr.strip()}")


def refusals(campaign: Campaign, archive: bytes) -> None:
    """Try each failure of a delivery, each in a new workspace."""
    flipped, mb_2 = archive.replace(b"RIFF", b"RIFE", 1), {"cut_at": 2 * MB}
    lacking, leading_out = zipped({member(CLIPS[0]): b""}), zipped({"../x": b""})
    again = "; deleted, run again to download a new copy"
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("wrong credentials (401)", "does not accept the credentials (401)", {"status": 401}),
        ("rules not accepted (403)", f"(403): log in, open {page(DATASET)}", {"status": 403}),
        ("no such dataset (404)", "does not find the dataset (404)", {"status": 404}),
        ("rate limit (429)", "(429): wait 60 s, then run again", {"status": 429}),
        ("rate limit, Retry-After 37", "(429): wait 37 s, then", {"status": 429, "retry_after": "37"}),
        *((f"server error ({n})", f"(it answers {n}): wait", {"status": n}) for n in (500, 502, 503, 504)),
        ("rest refused (503)", "is kept; wait 60 s", {"rest_status": 503} | mb_2),
        ("silent at once", "(silent for 1 s): check the network", {"is_silent": True, "cut_at": 0}),
        ("silent on the way", "(silent for 1 s): 2 MB are kept", {"is_silent": True} | mb_2),
        ("web page for an archive", f"damaged (File is not a zip file){again}", {"archive": b"<html>"}),
        ("truncated archive", f"damaged (File is not a zip file){again}", {"archive": archive[:-100]}),
        ("flipped bit", f"damaged (Bad CRC-32 for file '{member(CLIPS[0])}'){again}", {"archive": flipped}),
        ("missing clips", f"lacks 2 of 4 clips (jazz.00033, rock.00099){again}", {"archive": lacking}),
        ("member outside", f"leads out of its folder ('../x'){again}", {"archive": leading_out}),
    ]
    for name, line, behaviour in cases:
        with Kaggle(**({"archive": archive} | behaviour)) as kaggle:
            campaign.fails(name, line, campaign.workspace(name), kaggle.url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    nowhere = "http://kaggle.invalid"
    folder = campaign.workspace("no answer")
    campaign.fails("connection refused", "(Connection refused): check the network", folder, nobody)
    campaign.fails("name not found", "check the network and run again", folder, nowhere)
    campaign.fails("no credentials", "no Kaggle credentials: make", folder, nowhere, without="KAGGLE_KEY")
    campaign.fails("own archive not there", "no file /none.zip", folder, nowhere, archive="/none.zip")
    campaign.fails("own archive relative", "is relative; give", folder, nowhere, archive="none.zip")


def full_disks(campaign: Campaign, rng: random.Random) -> None:
    """A file system of 4 MB with too little room for the archive, or for the clips."""
    for name, archive in {
        "no room for the archive": gtzan_zip(rng, 5),
        "no room for the clips": gtzan_zip(rng, 0, clip_bytes=700_000),
    }.items():
        folder = campaign.workspace(name, size=4 * MB)
        try:
            with Kaggle(archive=archive) as kaggle:
                campaign.fails(name, str(disk_full(NEEDS)), folder, kaggle.url)
        finally:
            subprocess.run(["umount", folder], check=True)


def cuts(campaign: Campaign, rng: random.Random) -> None:
    """Cut a download repeatedly, each time in another process; it must end byte-identical."""
    folder = campaign.workspace("cuts")
    with Kaggle(archive=gtzan_zip(rng, 24)) as kaggle:
        for cut_at in sorted(rng.sample(range(len(kaggle.archive)), N_CUTS)):
            kaggle.cut_at = cut_at
            kept = f"{cut_at // MB * MB / 1e6:.0f} MB are kept" if cut_at >= MB else "check the network"
            campaign.fails(f"cut at byte {cut_at}", kept, folder, kaggle.url)
        kaggle.cut_at = None
        kaggle.asked.clear()
        ended = run_stage(folder, kaggle.url)
    campaign.expect("the rest", ended.returncode == 0, f"{kaggle.asked[-1][1]} {ended.stdout.strip()}")
    served = hashlib.sha256(kaggle.archive).hexdigest()
    downloaded = hashlib.sha256(archive_below(folder).read_bytes()).hexdigest()
    campaign.expect("sha256 served", True, served)
    campaign.expect("sha256 downloaded", downloaded == served, downloaded)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    print(f"seed {seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(Path(scratch))
        refusals(campaign, gtzan_zip(rng, 3))
        full_disks(campaign, rng)
        cuts(campaign, rng)
    sys.exit(f"{campaign.n_failed} expectations failed" if campaign.n_failed else 0)
