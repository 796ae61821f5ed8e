"""Every file is either decoded exactly as promised or listed with the reason."""

import io
import struct
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from stages import decode as stage
from stages.audio.decode import decode
from stages.tables import AudioTrack, Quality, read_rows
from tests.synthetic import RATE_HZ, line_of, noise, tone, write_params, write_raw


def encoded(
    samples: np.ndarray, rate_hz: int = RATE_HZ, file_format: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=file_format, subtype=subtype)
    return file.getvalue()


def decoded(tmp_path: Path, content: bytes, name: str = "a.wav", rate_hz: int = RATE_HZ):
    (tmp_path / name).write_bytes(content)
    return decode(tmp_path / name, rate_hz)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    n = min(len(a), len(b))
    return float(np.corrcoef(a[:n], b[:n])[0, 1])


MUSIC = noise(RATE_HZ)


class TestFormats:
    """What comes out of each kind of file."""

    @pytest.mark.parametrize(("file_format", "name"), [("WAV", "a.wav"), ("FLAC", "a.flac"), ("AU", "a.au")])
    def test_sixteen_bit_mono_at_the_rate_is_kept_to_the_bit(self, tmp_path, file_format, name):
        samples = np.random.default_rng(0).integers(-32768, 32768, 4000, dtype=np.int16)
        result = decoded(tmp_path, encoded(samples, file_format=file_format), name)
        assert result.verdict == "kept"
        assert result.samples.dtype == np.int16
        assert np.array_equal(result.samples, samples)
        assert result.peak == pytest.approx(np.abs(samples.astype(int)).max() / 32768)

    @pytest.mark.parametrize(
        ("file_format", "subtype", "step"),
        [
            ("WAV", "PCM_U8", 1 / 128),
            ("WAV", "PCM_24", 2**-23),
            ("WAV", "PCM_32", 2**-23),
            ("WAV", "FLOAT", 1e-7),
            ("WAV", "DOUBLE", 1e-7),
            ("FLAC", "PCM_24", 2**-23),
            ("AU", "FLOAT", 1e-7),
        ],
    )
    def test_other_depths_become_float32_within_their_step(self, tmp_path, file_format, subtype, step):
        result = decoded(tmp_path, encoded(MUSIC, file_format=file_format, subtype=subtype))
        assert result.samples.dtype == np.float32
        np.testing.assert_allclose(result.samples, MUSIC, atol=step)

    @pytest.mark.parametrize(
        ("file_format", "subtype", "name"),
        [("OGG", "VORBIS", "a.ogg"), ("MP3", "MPEG_LAYER_III", "a.mp3"), ("AU", "ULAW", "a.au")],
    )
    def test_lossy_formats_sound_the_same(self, tmp_path, file_format, subtype, name):
        result = decoded(tmp_path, encoded(tone(RATE_HZ, 440), RATE_HZ, file_format, subtype), name)
        assert result.verdict == "kept"
        assert result.samples.dtype == np.float32
        spectrum = np.abs(np.fft.rfft(result.samples))
        assert np.argmax(spectrum) * RATE_HZ / len(result.samples) == pytest.approx(440, abs=2)
        assert result.peak == pytest.approx(0.4, abs=0.05)

    def test_content_counts_not_the_extension(self, tmp_path):
        assert decoded(tmp_path, encoded(MUSIC, file_format="FLAC"), "a.wav").samples.dtype == np.int16

    def test_stereo_is_mixed_to_the_mean_in_float32(self, tmp_path):
        left, right = tone(4000, 300), tone(4000, 700)
        result = decoded(tmp_path, encoded(np.stack([left, right], axis=1), subtype="FLOAT"))
        assert (result.samples.ndim, result.samples.dtype, result.n_channels) == (1, np.float32, 2)
        np.testing.assert_allclose(result.samples, (left + right) / 2, atol=1e-6)

    @pytest.mark.parametrize("rate_hz", [4000, 11025, 44100, 48000])
    def test_resampling_keeps_length_and_sound(self, tmp_path, rate_hz):
        result = decoded(tmp_path, encoded(tone(rate_hz, 440, rate_hz), rate_hz))
        assert result.samples.dtype == np.float32, "rounding after resampling costs up to 1.5 dB"
        assert len(result.samples) == pytest.approx(RATE_HZ, abs=1)
        assert correlation(result.samples[100:-100], tone(RATE_HZ, 440)[100:-100]) > 0.999
        assert (result.sample_rate_hz, result.duration_s) == (rate_hz, 1.0)

    def test_quiet_music_survives_resampling_without_rounding(self, tmp_path):
        quiet = tone(44100, 440, 44100, level=4e-4)
        result = decoded(tmp_path, encoded(quiet, 44100, subtype="FLOAT"))
        assert len(np.unique(result.samples)) > 100


class TestUnusable:
    """Files that cannot be used; none may raise."""

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not audio at all",
            b"RIFF\x00\x00\x00\x00WAVE",
            encoded(MUSIC)[:30],
            b"\xff\xfb" + bytes(2000),
            b"ID3" + bytes(100),
            b"fLaC" + bytes(40),
            b"OggS" + bytes(60),
        ],
    )
    def test_garbage_is_unreadable_with_a_reason(self, tmp_path, content):
        result = decoded(tmp_path, content)
        assert result.samples is None
        assert result.verdict in {"unreadable", "empty"}
        assert len(result.reason) > 10

    def test_a_file_that_is_gone_is_unreadable(self, tmp_path):
        assert decode(tmp_path / "gone.wav", RATE_HZ).verdict == "unreadable"

    def test_no_samples(self, tmp_path):
        assert decoded(tmp_path, encoded(np.zeros(0))).verdict == "empty"

    @pytest.mark.parametrize("level", [0.0, 5e-5])
    def test_silence(self, tmp_path, level):
        result = decoded(tmp_path, encoded(np.full(4000, level), subtype="FLOAT"))
        assert (result.verdict, result.samples) == ("silent", None)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_not_finite(self, tmp_path, value, channels):
        samples = np.repeat(MUSIC[:, None], channels, axis=1)
        samples[100, -1] = value
        result = decoded(tmp_path, encoded(samples, subtype="FLOAT"))
        assert (result.verdict, result.samples, result.peak) == ("not finite", None, 0.0)

    def test_samples_over_full_scale_are_fine(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC * 8, subtype="FLOAT"))
        assert result.verdict == "kept"
        assert result.peak > 1

    def test_a_cut_file_keeps_what_is_there(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC)[:-4000])
        assert len(result.samples) == RATE_HZ - 2000

    def test_a_header_that_lies_about_length_cannot_take_the_memory(self, tmp_path):
        flac = bytearray(encoded(MUSIC, file_format="FLAC"))
        n_samples = int.from_bytes(flac[18:26], "big") | (2**36 - 1)
        flac[18:26] = n_samples.to_bytes(8, "big")
        assert decoded(tmp_path, bytes(flac), "a.flac").verdict in {"unreadable", "kept"}

    @pytest.mark.parametrize("rate_hz", [1, 50])
    def test_a_header_that_lies_about_the_rate_cannot_blow_a_second_up(self, tmp_path, rate_hz):
        wav = bytearray(encoded(MUSIC))
        wav[24:28] = struct.pack("<I", rate_hz)
        result = decoded(tmp_path, bytes(wav))
        assert result.samples is None
        assert str(rate_hz) in result.reason

    def test_what_resampling_leaves_nothing_of_is_not_kept(self, tmp_path):
        result = decoded(tmp_path, encoded(MUSIC[:3], 192000))
        assert result.samples is None or len(result.samples) > 0

    def test_damaged_files_never_raise(self, tmp_path):
        random = np.random.default_rng(0)
        formats = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]
        sounds = [bytearray(encoded(MUSIC[:3000], 8000, *kind)) for kind in formats]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # means of damaged floats
            for trial in range(100):
                content = bytearray(sounds[trial % len(sounds)])
                for place in random.integers(40, len(content), 20):
                    content[place] = random.integers(256)
                result = decoded(tmp_path, bytes(content[: random.integers(40, len(content))]))
                assert (result.samples is None) == (result.verdict != "kept")


@pytest.fixture(scope="module")
def files():
    nan = np.where(np.arange(RATE_HZ) == 5, np.nan, MUSIC)
    return {
        "jazz/good16.wav": encoded(MUSIC),
        "jazz/garbage.wav": b"this is no audio",
        "jazz/empty.wav": b"",
        "jazz/good24.flac": encoded(MUSIC, file_format="FLAC", subtype="PCM_24"),
        "rock/zero.wav": encoded(np.zeros(0)),
        "rock/silent.wav": encoded(np.zeros(RATE_HZ)),
        "rock/nan.wav": encoded(nan, subtype="FLOAT"),
        "rock/stereo44.wav": encoded(np.stack([tone(44100, 440, 44100)] * 2, axis=1), 44100),
    }


class TestStage:
    """`python -m stages.decode` over a folder of good and bad files."""

    def test_found_is_kept_and_dropped_and_all_are_listed(self, workspace, files, capsys):
        write_raw(files, ["jazz"] * 4 + ["rock"] * 4)
        write_params()
        stage.main()
        quality = read_rows(Path("data/audio/quality.csv"), Quality)
        kept = read_rows(Path("data/audio/tracks.csv"), AudioTrack)
        assert [row.path for row in quality] == list(files)
        assert {row.path.partition("/")[2]: row.verdict for row in quality} == {
            "good16.wav": "kept",
            "garbage.wav": "unreadable",
            "empty.wav": "unreadable",
            "good24.flac": "kept",
            "zero.wav": "empty",
            "silent.wav": "silent",
            "nan.wav": "not finite",
            "stereo44.wav": "kept",
        }
        assert all(bool(row.reason) == (row.verdict != "kept") for row in quality)
        assert [row.track_id for row in kept] == [row.track_id for row in quality if row.verdict == "kept"]
        printed = capsys.readouterr().out
        assert "8 found = 3 kept + 5 dropped" in printed
        assert "rock/nan.wav: not finite" in printed

    def test_waveforms_stand_in_the_order_of_the_table(self, workspace, files):
        write_raw(files, ["jazz"] * 4 + ["rock"] * 4)
        write_params()
        stage.main()
        kept = read_rows(Path("data/audio/tracks.csv"), AudioTrack)
        with h5py.File("data/audio/audio.h5") as file:
            assert file.attrs["sample_rate_hz"] == RATE_HZ
            assert len(file["waveform"]) == len(kept)
            for row, track in enumerate(kept):
                dataset = file[f"waveform/{row:06d}"]
                assert dataset.attrs["track_id"] == track.track_id
                assert dataset.shape == (track.n_samples,)
                assert dataset.dtype == (np.int16 if "good16" in track.track_id else np.float32)

    def test_any_number_of_workers_writes_the_same_bytes(self, workspace, files):
        write_raw(files, ["jazz"] * 4 + ["rock"] * 4)
        written = []
        for workers in (1, 2):
            write_params(f"runtime.workers={workers}")
            stage.main()
            written.append({path.name: path.read_bytes() for path in Path("data/audio").iterdir()})
        assert written[0] == written[1]

    def test_a_progress_bar_or_a_verdict_reaches_no_file(self, workspace, files):
        write_raw({"jazz/good16.wav": files["jazz/good16.wav"]})
        write_params()
        stage.main()
        names = sorted(path.name for path in Path("data/audio").iterdir())
        assert names == ["audio.h5", "quality.csv", "tracks.csv"]

    def test_nothing_usable_gives_one_line_and_no_folder(self, workspace):
        write_raw({"jazz/a.wav": b"garbage", "jazz/b.wav": encoded(np.zeros(100))})
        write_params()
        line = line_of(stage.main)
        assert "none of 2 files can be used" in line
        assert "cannot be decoded" in line
        assert list(Path("data").iterdir()) == [Path("data/raw")]

    def test_nothing_usable_leaves_the_old_output(self, workspace, files):
        write_params()
        write_raw({"jazz/a.wav": files["jazz/good16.wav"]})
        stage.main()
        before = Path("data/audio/audio.h5").read_bytes()
        write_raw({"jazz/a.wav": b"garbage"})
        line_of(stage.main)
        assert Path("data/audio/audio.h5").read_bytes() == before
