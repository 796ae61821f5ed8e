"""Ways to spoil a music file, drawn from a random number generator."""

import io
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

import mido
import numpy as np

from tests.campaigns.originals import File, bomb

# Where header fields lie: behind which mark, how many bytes on, and how many bytes long.
FIELDS = (
    *((b"fmt ", at, size) for at, size in ((8, 2), (10, 2), (12, 4), (16, 4), (20, 2), (22, 2))),
    *((b".snd", at, 4) for at in (4, 12, 16, 20)),
    *((b"COMM", at, size) for at, size in ((8, 2), (14, 2), (16, 10))),
    *((b"fLaC", at, size) for at, size in ((8, 2), (10, 2), (18, 4), (20, 1))),
    *((b"\x01vorbis", at, size) for at, size in ((7, 4), (11, 1), (12, 4), (20, 4), (28, 1))),
    *((b"OpusHead", at, size) for at, size in ((8, 1), (9, 1), (10, 2), (12, 4), (16, 2), (18, 1))),
    *((b"\xff", at, 1) for at in (1, 2, 3)),
    *((b"MThd", at, 2) for at in (8, 10, 12)),
)
LENGTHS = (
    *((mark, 4, 4) for mark in (b"RIFF", b"fmt ", b"data", b"FORM", b"COMM", b"SSND", b"MThd", b"MTrk")),
    (b"COMM", 10, 4),
    (b".snd", 8, 4),
    (b"fLaC", 21, 5),
    (b"OggS", 6, 8),  # of the last page
    (b"Xing", 8, 4),
    (b"Info", 8, 4),
)


def truncated(rng: Random, files: Sequence[File]) -> File:
    suffix, content = rng.choice(files)
    return File(suffix, content[: rng.randrange(len(content))])


def bits_flipped(rng: Random, files: Sequence[File]) -> File:
    suffix, content = rng.choice(files)
    spoilt = bytearray(content)
    reach = rng.choice((64, len(content)))  # the header, or anywhere
    for _ in range(rng.randint(1, 40)):
        spoilt[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return File(suffix, sealed(bytes(spoilt)))


def header(rng: Random, files: Sequence[File]) -> File:
    """Extremes in one to three fields."""
    suffix, content = rng.choice(files)
    for _ in range(rng.randint(1, 3)):
        content = _with_extreme(rng, content, FIELDS)
    return File(suffix, sealed(content))


def length(rng: Random, files: Sequence[File]) -> File:
    """An extreme length."""
    suffix, content = rng.choice(files)
    return File(suffix, sealed(_with_extreme(rng, content, LENGTHS)))


def _with_extreme(rng: Random, content: bytes, fields: Sequence[tuple[bytes, int, int]]) -> bytes:
    there = [
        (content.rfind(mark) if mark == b"OggS" else content.find(mark), *rest) for mark, *rest in fields
    ]
    candidates = [(found + at, size) for found, at, size in there if found >= 0]
    at, size = rng.choice(candidates or [(0, 4)])
    most = 256**size - 1
    value = rng.choice((0, 1, most // 2, most // 2 + 1, most - 1, most, rng.randint(0, most)))
    return content[:at] + value.to_bytes(size, rng.choice(("big", "little"))) + content[at + size :]


def empty(rng: Random, files: Sequence[File]) -> File:
    return File(rng.choice(files).suffix, b"")


def random_bytes(rng: Random, files: Sequence[File]) -> File:
    """Noise, after the first bytes of a real file or without them."""
    suffix, content = rng.choice(files)
    return File(suffix, content[: rng.choice((0, 4, 12, 44, 200))] + rng.randbytes(rng.randrange(50_000)))


def text(rng: Random, files: Sequence[File]) -> File:
    words = " ".join(rng.choices(("RIFF", "jazz", "data", "MThd", "<html>", "naïve"), k=rng.randint(1, 2000)))
    return File(rng.choice(files).suffix, words.encode(rng.choice(("utf-8", "utf-16", "latin-1"))))


def image(rng: Random, files: Sequence[File]) -> File:
    return File(rng.choice(files).suffix, picture(rng.randrange(4)))


@cache
def picture(seed: int) -> bytes:
    from matplotlib import image as images

    file = io.BytesIO()
    images.imsave(file, np.random.default_rng(seed).random((64, 64)), format="png")
    return file.getvalue()


def other_name(rng: Random, files: Sequence[File]) -> File:
    return File(rng.choice(files).suffix, rng.choice(files).content)


def concatenated(rng: Random, files: Sequence[File]) -> File:
    (suffix, first), (_, second) = rng.choices(files, k=2)
    return File(suffix, first + second)


def chunk_moved(rng: Random, files: Sequence[File]) -> File:
    """A piece taken out, doubled or overwritten with zeros or noise."""
    suffix, content = rng.choice(files)
    start, stop = sorted(rng.choices(range(len(content)), k=2))
    piece = content[start:stop]
    for_it = rng.choice((b"", piece + piece, bytes(len(piece)), rng.randbytes(len(piece))))
    return File(suffix, content[:start] + for_it + content[stop:])


def score(rng: Random, files: Sequence[File]) -> File:
    """MIDI messages that make no sense, in a file that does."""
    original = rng.choice([file for file in files if file.suffix == ".mid"])
    midi = mido.MidiFile(file=io.BytesIO(original.content))
    midi.ticks_per_beat = rng.choice((1, 480, 32767))
    for track in rng.choices(midi.tracks, k=3):
        at, time = rng.randrange(len(track)), rng.choice((0, 1, 2**21 - 1, 2**28 - 1))
        track[at] = track[at].copy(time=time)
        track.insert(at, mido.MetaMessage("set_tempo", tempo=rng.choice((0, 1, 2**24 - 1))))
    file = io.BytesIO()
    midi.save(file=file)
    return File(".mid", file.getvalue())


Mutation = Callable[[Random, Sequence[File]], File]
MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated,
    "bits flipped": bits_flipped,
    "header": header,
    "length": length,
    "empty": empty,
    "random bytes": random_bytes,
    "text": text,
    "image": image,
    "other name": other_name,
    "concatenated": concatenated,
    "chunk moved": chunk_moved,
    "score": score,
    "bomb": lambda rng, files: bomb(rng),
    "original": lambda rng, files: rng.choice(files),
}
SELDOM = {
    "bomb": 12,
    "empty": 12,
    "original": 20,
}  # so many; the others are equally frequent


def mutated(rng: Random, files: Sequence[File], n_files: int) -> list[tuple[str, File]]:
    """`n_files` files, with the kind of each."""
    often = [kind for kind in MUTATIONS if kind not in SELDOM]
    kinds = [kind for kind, n in SELDOM.items() for _ in range(n)][:n_files]
    kinds += [often[i % len(often)] for i in range(n_files - len(kinds))]
    return [(kind, MUTATIONS[kind](rng, files)) for kind in kinds]


def sealed(content: bytes) -> bytes:
    """The same, with right checksums if it is Ogg: a reader skips every page whose checksum is wrong."""
    sealed = bytearray(content)
    at = 0
    while sealed[at : at + 4] == b"OggS" and len(sealed) >= at + 27:
        n_lacing = sealed[at + 26]
        stop = at + 27 + n_lacing + sum(sealed[at + 27 : at + 27 + n_lacing])
        sealed[at + 22 : at + 26] = bytes(4)
        sealed[at + 22 : at + 26] = _checksum(sealed[at:stop]).to_bytes(4, "little")
        at = stop
    return bytes(sealed)


def _checksum(page: bytes) -> int:
    """CRC-32 as Ogg has it: neither reflected nor inverted."""
    checksum = 0
    for byte in page:
        checksum = (checksum << 8 ^ _remainder(checksum >> 24 ^ byte)) & 0xFFFFFFFF
    return checksum


@cache
def _remainder(byte: int) -> int:
    remainder = byte << 24
    for _ in range(8):
        remainder = remainder << 1 ^ (0x104C11DB7 if remainder & 0x80000000 else 0)
    return remainder
