"""WAV files as recorders and converters write them: read, or named with what they are."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hldm.data import CircorCorpus, DataError
from hldm.data.wav import read_wav, write_wav

RATE, SAMPLES = 4000, 8000
TONE = 0.28 * np.sin(2 * np.pi * 50 * np.arange(SAMPLES) / RATE)


def spoilt(what):
    samples = TONE.copy()
    samples[100] = what
    return samples


#: Under the name of a WAV file whose header promises 16-bit samples: how it is written, and what is said of it.
BROKEN_PROMISES = {
    "24 bits": (dict(data=TONE, subtype="PCM_24"), "24 bit PCM"),
    "8 bits": (dict(data=TONE, subtype="PCM_U8"), "8 bit PCM"),
    "floating point": (dict(data=TONE, subtype="FLOAT"), "32 bit float"),
    "not a number": (dict(data=spoilt(np.nan), subtype="FLOAT"), "32 bit float"),
    "infinite": (dict(data=spoilt(np.inf), subtype="DOUBLE"), "64 bit float"),
    "50 times full scale": (dict(data=50 * TONE, subtype="FLOAT"), "32 bit float"),
    "mu-law": (dict(data=TONE, subtype="ULAW"), "U-Law"),
    "AIFF": (dict(data=TONE, subtype="PCM_16", format="AIFF"), "AIFF"),
    "FLAC": (dict(data=TONE, subtype="PCM_16", format="FLAC"), "FLAC"),
}


@pytest.mark.parametrize("case", BROKEN_PROMISES)
def test_a_file_that_is_not_what_its_header_promises_is_a_problem(published, case):
    how, what = BROKEN_PROMISES[case]
    path = published / "training_data" / "102_MV.wav"
    soundfile.write(path, samplerate=RATE, **({"format": "WAV"} | how))
    (problem,) = CircorCorpus(published).check().problems
    assert (problem.file, problem.field) == (path, "format")
    assert what in str(problem)
    assert "format 16 in a WAV file, as in 102_MV.hea" in str(problem)


@pytest.mark.parametrize("case", ["not a number", "infinite", "50 times full scale", "AIFF", "FLAC"])
def test_where_nothing_is_promised_what_is_no_sound_is_still_refused(tmp_path, case):
    how, what = BROKEN_PROMISES[case]
    soundfile.write(tmp_path / "a.wav", samplerate=RATE, **({"format": "WAV"} | how))
    with pytest.raises(DataError, match=what):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize(("subtype", "error"), [("PCM_24", 1e-6), ("PCM_U8", 0.01), ("FLOAT", 1e-7), ("ULAW", 0.02)])
def test_where_nothing_is_promised_any_encoding_is_read(tmp_path, subtype, error):
    soundfile.write(tmp_path / "a.wav", TONE, RATE, subtype=subtype)
    waveform, rate = read_wav(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_allclose(waveform, TONE, atol=error)


def streamed(path: Path, length: int) -> None:
    """As a converter writes into a pipe, where it cannot come back to fill in the lengths."""
    write_wav(path, TONE, RATE)
    body = bytearray(path.read_bytes())
    struct.pack_into("<I", body, 4, 0xFFFFFFFF)
    struct.pack_into("<I", body, 40, length)
    path.write_bytes(body)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF000])
def test_a_length_that_was_unknown_when_it_was_written(published, length):
    streamed(published / "training_data" / "102_MV.wav", length)
    assert len(CircorCorpus(published).recording("102_MV").waveform) == SAMPLES
    assert CircorCorpus(published).check().ok


def test_rf64_is_read_and_cut_off_refused(published):
    path = published / "training_data" / "102_MV.wav"
    soundfile.write(path, TONE, RATE, subtype="PCM_16", format="RF64")
    body = path.read_bytes()
    assert body.startswith(b"RF64")
    assert len(CircorCorpus(published).recording("102_MV").waveform) == SAMPLES
    path.write_bytes(body[:-500])
    with pytest.raises(DataError, match="500 bytes missing"):
        CircorCorpus(published).recording("102_MV")


def test_a_full_disk_leaves_nothing_half(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(b"mine")

    def full(self, body):
        with self.open("wb") as file:
            file.write(bytes(body)[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_wav(tmp_path / "a.wav", TONE, RATE, comment="synthetic")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"mine"
