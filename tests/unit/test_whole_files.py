"""All the music in a file is read, or quality.csv says that something is left out."""

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from stages import decode as stage
from stages.audio import mp3, ogg
from stages.audio.claims import kept_share
from stages.audio.decode import DecodedAudio, decode
from stages.audio.formats import is_mislabelled, is_music
from stages.audio.params import RenderParams
from stages.core.tables import Quality, read_rows
from tests.synthetic import noise, tone, write_params, write_raw

pytestmark = pytest.mark.slow

RATE_HZ = 44100
SECONDS = 3.0
# Loud, then quiet: an encoder of variable bit rate begins with long frames.
MUSIC = np.concatenate([noise(RATE_HZ, 1, 0.9), tone(2 * RATE_HZ, 440, RATE_HZ, 0.05)])
STEREO = np.stack([MUSIC, MUSIC[::-1]], axis=1)
WINDOW = RenderParams(window_s=2.0, windows=1, control=False)


def sf(samples: np.ndarray, container: str, subtype: str, rate_hz: int = RATE_HZ, **how: object) -> bytes:
    """What libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype, **how)
    return file.getvalue()


# How each encoder wants its samples.
KINDS = {
    "aac": "fltp",
    "alac": "s16p",
    "flac": "s16",
    "libopus": "flt",
    "tta": "s16",
    "wavpack": "s16p",
    "wmav2": "fltp",
}


def ffmpeg(container: str, codec: str, *music: np.ndarray, rate_hz: int = RATE_HZ) -> bytes:
    """What FFmpeg writes: one stream for each array, mono or (n_samples, n_channels)."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        streams = []
        for samples in music:
            columns = samples.reshape(len(samples), -1)
            layout = {1: "mono", 2: "stereo", 8: "7.1"}[columns.shape[1]]
            stream = out.add_stream(codec, rate=rate_hz, layout=layout, options={"strict": "-2"})
            stream.codec_context.format = KINDS[codec]
            stream.codec_context.bit_rate = 128_000
            streams.append((stream, np.ascontiguousarray(columns, np.float32), layout))
        for stream, columns, layout in streams:
            packed = av.AudioFrame.from_ndarray(columns.reshape(1, -1), "flt", layout)
            packed.sample_rate, packed.pts, packed.time_base = rate_hz, 0, Fraction(1, rate_hz)
            converter = av.AudioResampler(KINDS[codec], layout, rate_hz, stream.frame_size or 4096)
            for frame in [*converter.resample(packed), *converter.resample(None)]:
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return file.getvalue()


def decoded(tmp_path: Path, content: bytes, name: str, rate_hz: int = RATE_HZ) -> DecodedAudio:
    (tmp_path / name).write_bytes(content)
    return decode(tmp_path / name, rate_hz, 3600.0, WINDOW)


def assert_whole(result: DecodedAudio, seconds: float, within: float = 0.05) -> None:
    assert (result.info.problem, result.info.cut_short) == ("", "")
    assert result.info.duration_s == pytest.approx(seconds, abs=within)
    assert len(result.samples) == pytest.approx(RATE_HZ * seconds, abs=RATE_HZ * within)


def vbr(samples: np.ndarray = MUSIC, rate_hz: int = RATE_HZ) -> bytes:
    return sf(samples, "MP3", "MPEG_LAYER_III", rate_hz, bitrate_mode="VARIABLE", compression_level=0.5)


def without_info(content: bytes) -> bytes:
    """An MP3 file without its first frame, which says how many there are."""
    assert b"Xing" in content[:100] or b"Info" in content[:100]
    return content[content.index(content[:2], 60) :]


def tag(n_bytes: int) -> bytes:
    """An ID3 tag full of what looks like frames."""
    size = bytes(n_bytes >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + (b"\xff\xfb\x90\x44" * n_bytes)[:n_bytes]


class TestMp3:
    """Length and alignment of MP3 files, whatever their frames are mixed with."""

    def test_with_info_frame_is_as_long_as_the_original(self, tmp_path):
        result = decoded(tmp_path, vbr(), "a.mp3")
        assert_whole(result, SECONDS, within=1e-6)
        assert result.info.claimed_s == pytest.approx(SECONDS, abs=1e-6)
        assert result.info.encoding == "MP3/MPEG_LAYER_III"

    def test_without_info_frame_is_whole_and_the_same_music(self, tmp_path):
        bare = without_info(vbr())
        with soundfile.SoundFile(io.BytesIO(bare)) as file:
            assert file.frames < RATE_HZ, "libsndfile guesses the length from the first frame"
        result = decoded(tmp_path, bare, "a.mp3")
        assert_whole(result, SECONDS, within=0.08)  # and what the encoder adds
        assert result.info.encoding == "MP3/MP3 (FFmpeg)"
        known = decoded(tmp_path, vbr(), "b.mp3").samples
        added = 1105  # samples in front by the encoder and a decoder, which the Info frame tells
        np.testing.assert_allclose(result.samples[added : added + len(known)], known, atol=1e-4)

    def test_constant_bit_rate_without_info_frame_keeps_libsndfile(self, tmp_path):
        bare = without_info(
            sf(MUSIC, "MP3", "MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.5)
        )
        expected, _ = soundfile.read(io.BytesIO(bare), dtype="float32")
        result = decoded(tmp_path, bare, "a.mp3")
        assert result.info.encoding == "MP3/MPEG_LAYER_III"
        assert np.array_equal(result.samples, expected)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (b"", bytes(2000)),
            (b"", bytes(100_000)),
            (b"", np.random.default_rng(0).bytes(5000)),
            (b"", b"TAG" + bytes(125)),
            (tag(50_000), b"APETAGEX" + bytes(3000)),
            (bytes(5000), b"words " * 500),
            (np.random.default_rng(1).bytes(3000), b""),
        ],
    )
    def test_junk_around_the_frames_is_no_music(self, tmp_path, before, after):
        bare = without_info(vbr())
        result = decoded(tmp_path, before + bare + after, "a.mp3")
        assert_whole(result, decoded(tmp_path, bare, "b.mp3").info.duration_s, within=1e-6)

    def test_files_joined_into_one_are_read_to_the_last(self, tmp_path):
        assert_whole(decoded(tmp_path, vbr() * 3, "a.mp3"), 3 * SECONDS, within=0.2)
        joined = without_info(vbr()) + tag(300)[:10] + bytes(300) + without_info(vbr(MUSIC[:RATE_HZ]))
        assert_whole(decoded(tmp_path, joined, "b.mp3"), SECONDS + 1, within=0.15)

    @pytest.mark.parametrize("music_hz", [(STEREO, RATE_HZ), (tone(2 * 22050, 440, 22050), 22050)])
    def test_changed_channels_or_rate_do_not_end_it(self, tmp_path, music_hz):
        other = vbr(*music_hz)
        one = without_info(vbr())
        seconds = [mp3.count(one).seconds, mp3.count(without_info(other)).seconds]
        assert_whole(decoded(tmp_path, one + without_info(other), "a.mp3"), sum(seconds))

    @pytest.mark.parametrize("prepare", [bytes, without_info])
    @pytest.mark.parametrize("share", [0.3, 0.77])
    def test_cut_off_is_noticed(self, tmp_path, prepare, share):
        content = prepare(vbr())
        info = decoded(tmp_path, content[: int(share * len(content))], "a.mp3").info
        assert (info.problem, info.encoding[:3]) == ("", "MP3")
        lengths = f"should last {SECONDS:.2f} s, but {info.duration_s:.2f} s can be read; get it again"
        damage = f"is damaged within, or cut off after the {info.duration_s:.2f} s"
        assert info.cut_short.startswith(lengths if prepare is bytes else damage)

    def test_damage_between_frames_is_noticed(self, tmp_path):
        bare = without_info(vbr())
        middle = len(bare) // 2
        assert decoded(tmp_path, bare[:middle] + bytes(3000) + bare[middle:], "a.mp3").info.cut_short

    def test_random_bytes_have_no_frames(self):
        for seed in range(20):
            assert mp3.count(np.random.default_rng(seed).bytes(20_000)).seconds == 0.0

    def test_lengths_of_all_rates(self):
        for rate_hz in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000):
            content = vbr(noise(rate_hz, 3), rate_hz)
            assert mp3.count(content) == (pytest.approx(1.0, abs=1e-6), False)
            with_frames = mp3.count(without_info(content)).seconds
            assert 1.0 < with_frames < 1.0 + 4 * 1152 / rate_hz


def with_length(flac: bytes, n_samples: int) -> bytes:
    """A FLAC file whose header says another length; 0: not known."""
    field = int.from_bytes(flac[18:26], "big") >> 36 << 36 | n_samples
    return flac[:18] + field.to_bytes(8, "big") + flac[26:]


class TestFlac:
    """FLAC without a length, cut off, joined, or of few bits."""

    WHOLE = sf(MUSIC, "FLAC", "PCM_16")

    def test_of_unknown_length_has_the_same_samples(self, tmp_path):
        known = decoded(tmp_path, self.WHOLE, "a.flac")
        result = decoded(tmp_path, with_length(self.WHOLE, 0), "b.flac")
        assert_whole(result, SECONDS, within=1e-6)
        assert result.info.digest == known.info.digest

    @pytest.mark.parametrize("n_samples", [0, len(MUSIC)])
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
    def test_cut_off_keeps_what_there_is_and_says_so(self, tmp_path, n_samples, share):
        content = with_length(self.WHOLE, n_samples)
        result = decoded(tmp_path, content[: int(share * len(content))], "a.flac")
        assert result.info.problem == ""
        assert 0 < len(result.samples) < len(MUSIC)
        whole = decoded(tmp_path, self.WHOLE, "b.flac").samples / np.float32(32768)
        read = result.samples / np.float32(32768 if result.samples.dtype == np.int16 else 1)
        assert np.array_equal(read, whole[: len(read)])
        if n_samples:
            assert f"should last 3.00 s, but {len(read) / RATE_HZ:.2f} s can be read" in result.info.cut_short
        assert result.info.cut_short

    def test_joined_into_one_is_read_to_the_last(self, tmp_path):
        joined = decoded(tmp_path, self.WHOLE + sf(MUSIC[:22050], "FLAC", "PCM_16", 22050), "a.flac")
        assert_whole(joined, SECONDS + 1)

    @pytest.mark.parametrize("n_bits", [12, 15, 20])
    def test_of_other_bit_depths_is_exact(self, tmp_path, n_bits):
        values = np.rint(MUSIC[:22050] * 2 ** (n_bits - 1)).astype(int)
        content = flac_of(values, n_bits)
        with pytest.raises(soundfile.LibsndfileError):
            soundfile.read(io.BytesIO(content))
        result = decoded(tmp_path, content, "a.flac")
        assert_whole(result, 0.5, within=1e-6)
        assert np.array_equal(result.samples, (values / 2 ** (n_bits - 1)).astype(np.float32))


def flac_of(values: np.ndarray, n_bits: int) -> bytes:
    """A FLAC file of uncompressed blocks, with bit depths that no encoder at hand writes."""
    about = f"{RATE_HZ:020b}{0:03b}{n_bits - 1:05b}{len(values):036b}"
    header = b"fLaC\x80\0\0\x22" + struct.pack(">HH6x", 4096, 4096)
    content = header + int(about, 2).to_bytes(8, "big") + bytes(16)
    code = {12: "010", 15: "000", 20: "101"}[n_bits]
    for number, start in enumerate(range(0, len(values), 4096)):
        block = values[start : start + 4096]
        head = f"111111111111100001111001{'0000'}{code}0{number:08b}{len(block) - 1:016b}"
        head += f"{crc(as_bytes(head), 0x107, 8):08b}"
        body = (
            head + "00000010" + "".join(f"{value & (2**n_bits - 1):0{n_bits}b}" for value in block.tolist())
        )
        packed = as_bytes(body + "0" * (-len(body) % 8))
        content += packed + crc(packed, 0x18005, 16).to_bytes(2, "big")
    return content


def as_bytes(bits: str) -> bytes:
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def crc(content: bytes, polynomial: int, n_bits: int) -> int:
    """The remainder of the bits, as FLAC and Ogg compute it."""
    table = []
    for byte in range(256):
        value = byte << (n_bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (n_bits - 1) & 1 else 0)
        table.append(value)
    value, mask = 0, 2**n_bits - 1
    for byte in content:
        value = (value << 8 & mask) ^ table[value >> (n_bits - 8) ^ byte]
    return value


VORBIS = sf(MUSIC, "OGG", "VORBIS")
OPUS = sf(noise(48000, 4), "OGG", "OPUS", 48000)


def pages_of(content: bytes) -> list[bytes]:
    return [b"OggS" + page for page in content.split(b"OggS")[1:]]


def sealed(page: bytes) -> bytes:
    """An Ogg page with the right checksum."""
    bare = page[:22] + bytes(4) + page[26:]
    return bare[:22] + crc(bare, 0x104C11DB7, 32).to_bytes(4, "little") + bare[26:]


class TestOgg:
    """Vorbis, Opus, FLAC and Speex in Ogg: chained, multiplexed, damaged."""

    def test_links_are_read_one_after_the_other(self, tmp_path):
        other = sf(np.stack([noise(22050)] * 2, axis=1), "OGG", "VORBIS", 22050)
        links = [VORBIS, other, OPUS, ffmpeg("ogg", "flac", MUSIC), VORBIS]
        result = decoded(tmp_path, b"".join(links), "a.ogg")
        assert_whole(result, 3 * SECONDS + 2)
        assert result.info.claimed_s == pytest.approx(3 * SECONDS + 2, abs=0.01)
        ends = decoded(tmp_path, VORBIS, "b.ogg").samples
        assert np.array_equal(result.samples[: len(ends)], ends)
        assert np.array_equal(result.samples[-len(ends) :], ends)

    def test_chained_opus_is_read_to_its_end(self, tmp_path):
        assert_whole(decoded(tmp_path, OPUS * 4, "a.opus"), 4.0)

    def test_a_link_that_cannot_be_read_is_named(self, tmp_path):
        unknown = sealed(pages_of(VORBIS)[0].replace(b"\x01vorbis\0", b"\x01vorbis\x07"))
        damaged = unknown + b"".join(pages_of(VORBIS)[1:])
        info = decoded(tmp_path, VORBIS + damaged + VORBIS, "a.ogg").info
        assert info.duration_s == pytest.approx(2 * SECONDS, abs=0.05)
        assert info.cut_short.startswith("in its part 2 of 3 ")

    @pytest.mark.parametrize("hint_hz", [8000, 11025, 16000, 24000, 0])
    def test_opus_is_decoded_at_48_khz_whatever_its_header_hints(self, tmp_path, hint_hz):
        first, *others = pages_of(OPUS)
        at = first.index(b"OpusHead") + 12
        first = sealed(first[:at] + hint_hz.to_bytes(4, "little") + first[at + 4 :])
        result = decoded(tmp_path, first + b"".join(others), "a.opus")
        assert (result.info.sample_rate_hz, result.info.cut_short) == (48000, "")
        assert np.array_equal(result.samples, decoded(tmp_path, OPUS, "b.opus").samples)

    def test_flac_in_ogg_is_exact(self, tmp_path):
        exact = np.rint(MUSIC * 32767).astype(np.int16)
        result = decoded(tmp_path, ffmpeg("ogg", "flac", exact / np.float32(32768)), "a.oga")
        assert_whole(result, SECONDS, within=1e-6)
        assert np.abs(result.samples - exact / 32768).max() <= 2**-15
        assert result.info.encoding == "OGG/FLAC (FFmpeg)"

    def test_of_two_streams_the_first_is_read_and_the_other_named(self, tmp_path):
        info = decoded(tmp_path, ffmpeg("ogg", "flac", MUSIC, MUSIC), "a.ogg").info
        assert info.duration_s == pytest.approx(SECONDS)
        assert info.cut_short == "has 2 streams of music, of which the first is read; split it to use all"

    @pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.oga"])
    def test_lost_and_damaged_pages_are_noticed(self, tmp_path, name):
        content = whole(name)
        pages = pages_of(content)
        seconds = decoded(tmp_path, content, "a.ogg").info.duration_s
        for place in range(2, len(pages)):
            flipped = bytearray(pages[place])
            flipped[-1] ^= 1
            for replaced in (b"", bytes(flipped), pages[place][:-20]):
                spoilt = b"".join([*pages[:place], replaced, *pages[place + 1 :]])
                info = decoded(tmp_path, spoilt, "a.ogg").info
                assert info.problem or info.cut_short or info.duration_s > seconds - 0.05

    def test_what_the_last_page_would_have_had_is_claimed(self, tmp_path):
        info = decoded(tmp_path, VORBIS[:-10], "a.ogg").info
        assert info.claimed_s == pytest.approx(SECONDS, abs=0.01)
        assert f"should last 3.00 s, but {info.duration_s:.2f} s can be read" in info.cut_short

    def test_checksum_is_that_of_the_standard(self):
        for page in pages_of(VORBIS):
            assert sealed(page) == page
        assert len(ogg.links(VORBIS)) == 1
        assert not ogg.links(VORBIS)[0].is_damaged


MAKERS: dict[str, Callable[[], bytes]] = {
    "a.wav": lambda: sf(MUSIC, "WAV", "PCM_16"),
    "a24.wav": lambda: sf(STEREO, "WAV", "PCM_24"),
    "float.wav": lambda: sf(MUSIC, "WAV", "FLOAT"),
    "adpcm.wav": lambda: sf(STEREO, "WAV", "IMA_ADPCM"),
    "rifx.wav": lambda: sf(MUSIC, "WAV", "PCM_16", endian="BIG"),
    "rf64.wav": lambda: sf(MUSIC, "RF64", "PCM_16"),
    "a.aiff": lambda: sf(STEREO, "AIFF", "PCM_16"),
    "a.au": lambda: sf(MUSIC, "AU", "PCM_16"),
    "little.au": lambda: sf(MUSIC, "AU", "PCM_16", endian="LITTLE"),
    "a.w64": lambda: sf(MUSIC, "W64", "PCM_16"),
    "a.caf": lambda: sf(MUSIC, "CAF", "PCM_16"),
    "a.flac": lambda: sf(STEREO, "FLAC", "PCM_24"),
    "a.ogg": lambda: VORBIS,
    "a.opus": lambda: sf(MUSIC, "OGG", "OPUS", 48000),
    "a.mp3": lambda: vbr(STEREO),
    "a.oga": lambda: ffmpeg("ogg", "flac", MUSIC),
    "a.m4a": lambda: ffmpeg("ipod", "aac", STEREO),
    "alac.m4a": lambda: ffmpeg("ipod", "alac", MUSIC),
    "a.wma": lambda: ffmpeg("asf", "wmav2", STEREO),
    "a.wv": lambda: ffmpeg("wv", "wavpack", STEREO),
    "a.tta": lambda: ffmpeg("tta", "tta", MUSIC),
    "a.aac": lambda: ffmpeg("adts", "aac", MUSIC),
    "a.mka": lambda: ffmpeg("matroska", "flac", STEREO),
    "a.webm": lambda: ffmpeg("webm", "libopus", noise(48000 * 3, 5), rate_hz=48000),
}


@cache
def whole(name: str) -> bytes:
    return MAKERS[name]()


class TestClaims:
    """What a decoder returned is compared with what the file claims."""

    @pytest.mark.parametrize("name", MAKERS)
    def test_a_whole_file_has_no_finding(self, tmp_path, name):
        result = decoded(tmp_path, whole(name), name, 48000)
        assert (result.info.problem, result.info.cut_short) == ("", "")
        assert result.info.duration_s == pytest.approx(result.info.claimed_s, abs=0.07)
        assert is_music(Path(name))
        assert not is_mislabelled(Path(name), result.info.encoding)

    @pytest.mark.parametrize("name", MAKERS)
    def test_a_file_that_is_cut_off_is_never_good(self, tmp_path, name):
        whole_s = decoded(tmp_path, whole(name), name).info.duration_s
        for share in np.random.default_rng(0).uniform(0.05, 0.97, 6):
            content = whole(name)[: int(share * len(whole(name)))]
            info = decoded(tmp_path, content, name).info
            assert info.problem or info.cut_short, share
            if info.cut_short.startswith("should last"):
                assert info.claimed_s > info.duration_s + 0.05
                assert f"{info.claimed_s:.2f} s" in info.cut_short
                assert f"{info.duration_s:.2f} s" in info.cut_short
            assert info.duration_s < whole_s

    @pytest.mark.parametrize(
        ("name", "size"),
        [("a.wav", size) for size in (0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)]
        + [("a.au", 0), ("a.au", 0xFFFFFFFF), ("a.aiff", 0x7F000008)],
    )
    def test_a_size_that_no_one_wrote_is_no_claim(self, tmp_path, name, size):
        content = bytearray(whole(name))
        mark, order = {"a.wav": (b"data", "<I"), "a.au": (b"\0\0\0\x18", ">I"), "a.aiff": (b"SSND", ">I")}[
            name
        ]
        at = content.index(mark) + 4
        content[at : at + 4] = struct.pack(order, size)
        assert_whole(decoded(tmp_path, bytes(content), name), SECONDS)

    def test_any_header_gives_a_share(self, tmp_path):
        random = np.random.default_rng(0)
        for trial in range(300):
            name = list(MAKERS)[trial % len(MAKERS)]
            content = bytearray(whole(name)[:500])
            for place in random.integers(len(content), size=8):
                content[place] = random.integers(256)
            (tmp_path / "a").write_bytes(content)
            for container in ("WAV", "AIFF", "AU", "W64", "CAF", "ASF", "OGG"):
                assert 0 <= kept_share(tmp_path / "a", container) <= 1


class TestFfmpeg:
    """What libsndfile does not know is decoded by FFmpeg, or refused in the user's words."""

    @pytest.mark.parametrize(
        "name", ["a.m4a", "alac.m4a", "a.wma", "a.wv", "a.tta", "a.aac", "a.mka", "a.oga"]
    )
    def test_pitch_level_and_length_are_right(self, tmp_path, name):
        result = decoded(tmp_path, whole(name), name)
        assert result.info.encoding.endswith(" (FFmpeg)")
        assert result.info.duration_s == pytest.approx(SECONDS, abs=0.05)
        quiet = result.samples[int(1.2 * RATE_HZ) : int(1.8 * RATE_HZ)]
        expected = (STEREO.mean(axis=1) if result.info.n_channels == 2 else MUSIC)[: len(result.samples)]
        rms = np.sqrt(np.square(expected[int(1.2 * RATE_HZ) : int(1.8 * RATE_HZ)]).mean())
        assert np.sqrt(np.square(quiet).mean()) == pytest.approx(rms, rel=0.1)
        if result.info.n_channels == 1:
            spectrum = np.abs(np.fft.rfft(quiet))
            assert np.argmax(spectrum) * RATE_HZ / len(quiet) == pytest.approx(440, abs=2)

    def test_lossless_formats_are_exact(self, tmp_path):
        for name in ("alac.m4a", "a.wv", "a.tta", "a.mka"):
            result = decoded(tmp_path, whole(name), name)
            expected = STEREO.mean(axis=1) if result.info.n_channels == 2 else MUSIC
            assert np.abs(result.samples - expected).max() < 2**-14

    def test_eight_channels_are_read(self, tmp_path):
        eight = np.stack([noise(RATE_HZ, seed) for seed in range(8)], axis=1)
        result = decoded(tmp_path, ffmpeg("wv", "wavpack", eight), "a.wv")
        assert (result.info.n_channels, result.info.problem) == (8, "")
        assert np.abs(result.samples - eight.mean(axis=1)).max() < 2**-14

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("text.m4a", b"words " * 1000),
            ("list.m4a", b"#EXTM3U\n#EXTINF:3,\n/etc/passwd\n"),
            ("list.mp3", b"ffconcat version 1.0\nfile '/etc/passwd'\n"),
            ("web.mp3", b"<html>Please log in</html>" * 200),
            ("half.m4a", bytes.fromhex("0000001c66747970") + b"M4A \0\0\2\0M4A isomiso2" + bytes(9000)),
            ("head.wma", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(2000)),
            ("a.raw", bytes(4000)),
        ],
    )
    def test_what_cannot_be_decoded_says_what_to_do(self, tmp_path, name, content):
        info = decoded(tmp_path, content, name).info
        assert info.problem == "decode error"
        assert info.reason.startswith("cannot be decoded: it ")
        assert "(libsndfile: " in info.reason
        assert "convert it to FLAC or WAV" in info.reason

    def test_damaged_files_never_raise(self, tmp_path):
        random = np.random.default_rng(1)
        for trial in range(4 * len(MAKERS)):
            name = list(MAKERS)[trial % len(MAKERS)]
            content = bytearray(whole(name))
            reach = len(content) if trial % 2 else 300
            for place in random.integers(reach, size=random.integers(1, 20)):
                content[place] ^= 1 << random.integers(8)
            result = decoded(tmp_path, bytes(content), name)
            assert (result.samples is None) == bool(result.info.problem) == bool(result.info.reason)


def test_the_stage_lists_and_counts_what_is_cut_short(workspace, capsys):
    music = {f"jazz/{number}.wav": sf(noise(66150, number), "WAV", "PCM_16", 22050) for number in range(2)}
    half = sf(noise(66150, 3), "FLAC", "PCM_16", 22050)
    for rule, kept in (("keep", 3), ("drop", 2)):
        write_params(f"quality.on_cut_short={rule}")
        write_raw(music | {"jazz/half.flac": half[: len(half) // 2]})
        stage.main()
        printed = capsys.readouterr().out
        row = read_rows(Path("data/audio/quality.csv"), Quality)[-1]
        assert (row.path, row.verdict, row.claimed_s) == ("jazz/half.flac", "cut short", 3.0)
        assert "should last 3.00 s, but 1." in row.reason
        assert f"{kept} kept" in printed
        assert "1 cut short" in printed
