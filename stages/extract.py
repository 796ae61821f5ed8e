"""Stage extract: what do the segments look like? Writes data/features/features.h5."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from stages import store
from stages.errors import EncoreError, run
from stages.params import Params, load
from stages.runtime import ordered_map
from stages.tables import AudioTrack, Segment, read_rows
from stages.workspace import new_folder

AUDIO = Path("data/audio")


class MfccParams(Params):
    """Attributes: `n_mfcc`, how many coefficients."""

    n_mfcc: int = Field(ge=1)


class MelParams(Params):
    """Attributes: `n_mels`, how many mel bands, also behind MFCC."""

    n_mels: int = Field(ge=1, le=1024)


class FeaturesParams(Params):
    """The `features` section.

    Attributes
    ----------
    n_fft, hop_length : int
        In samples.
    pad_mode : {'constant', 'reflect'}
        What stands beyond both ends of a segment.
    include : list of {'mfcc', 'mel'}
    mfcc, mel
        Settings of each feature.
    """

    n_fft: int = Field(ge=16, le=65536)
    hop_length: int = Field(ge=1)
    pad_mode: Literal["constant", "reflect"]
    include: list[Literal["mfcc", "mel"]] = Field(min_length=1)
    mfcc: MfccParams
    mel: MelParams

    @model_validator(mode="after")
    def _fit_together(self) -> "FeaturesParams":
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length is {self.hop_length}, should be at most n_fft, {self.n_fft}")
        if self.mfcc.n_mfcc > self.mel.n_mels:
            raise ValueError(
                f"mfcc.n_mfcc is {self.mfcc.n_mfcc}, should be at most mel.n_mels, {self.mel.n_mels}"
            )
        return self


def main() -> None:
    """Extract the features of every segment in the index."""
    params = load("features", FeaturesParams)
    tracks = {t.track_id: (row, t) for row, t in enumerate(read_rows(AUDIO / "tracks.csv", AudioTrack))}
    segments = read_rows(Path("data/segments/segments.csv"), Segment)
    cuts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for segment in segments:
        cuts[segment.track_id].append((segment.start, segment.stop))
    length = segments[0].stop - segments[0].start
    if params.pad_mode == "reflect" and params.n_fft // 2 >= length:
        raise EncoreError(
            f"params.yaml: features.n_fft is {params.n_fft}, but a segment has {length} samples, too few "
            "to reflect half a window; choose a smaller n_fft or features.pad_mode=constant"
        )

    import torch

    from stages.audio.spectra import Spectra, extract

    # Tracks run side by side; threads inside a transform would only fight over the cores.
    torch.set_num_threads(1)
    with store.open_audio(AUDIO / "audio.h5") as audio, new_folder(Path("data/features")) as folder:
        spectra = Spectra(
            sample_rate_hz=int(audio.attrs["sample_rate_hz"]),
            n_fft=params.n_fft,
            hop_length=params.hop_length,
            pad_mode=params.pad_mode,
            n_mels=params.mel.n_mels,
            n_mfcc=params.mfcc.n_mfcc,
            include=tuple(params.include),
        )
        rows = [(s.track_id, s.segment, tracks[s.track_id][1].label) for s in segments]
        attributes = {
            **params.model_dump(exclude={"mfcc", "mel"}),
            "sample_rate_hz": spectra.sample_rate_hz,
            "n_mfcc": spectra.n_mfcc,
            "n_mels": spectra.n_mels,
            "segment_length": length,
        }

        def waveforms() -> Iterator[tuple[NDArray[np.float32], list[tuple[int, int]]]]:
            for track_id, places in cuts.items():
                yield store.read_waveform(audio, tracks[track_id][0]), places

        def extract_track(item: tuple[NDArray[np.float32], list[tuple[int, int]]]) -> dict[str, Any]:
            return extract(*item, spectra)

        with store.create_features(
            folder / "features.h5",
            spectra.shapes(length),
            spectra.scales(),
            spectra.time_s(length),
            rows,
            attributes,
        ) as file:
            first = 0
            for values in ordered_map(extract_track, waveforms(), len(cuts), "extract"):
                n_segments = 0
                for name, array in values.items():
                    n_segments = len(array)
                    file[name][first : first + n_segments] = array
                first += n_segments
    shapes = ", ".join(f"{name} {(len(rows), *shape)}" for name, shape in spectra.shapes(length).items())
    print(f"extract: {shapes} float32")


if __name__ == "__main__":
    run(main)
