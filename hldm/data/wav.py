"""Reading and writing 16-bit mono WAV files, with every defect named."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np

from hldm.data.errors import DataError
from hldm.paths import replacing

FULL_SCALE = 32768  # 16-bit integers per unit of waveform
CONTAINERS = ("WAV", "WAVEX", "RF64")  # as libsndfile calls them


STREAMED = 0x7FFFF000  # a data chunk of at least so many bytes was written to a pipe, before its length was known


def _bytes_cut_off(path: Path) -> int:
    """Bytes that the ``data`` chunk announces and the file does not hold; libsndfile is silent about them."""
    size, long_length = path.stat().st_size, None
    with path.open("rb") as file:
        file.seek(12)  # past "RIFF" or "RF64", its size and "WAVE"
        while len(head := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", head)
            if kind == b"data":
                announced = length if long_length is None else long_length
                return 0 if length >= STREAMED and long_length is None else max(0, announced - (size - file.tell()))
            body = file.read(length + length % 2) if kind == b"ds64" else b""
            if len(body) >= 16:  # RF64: lengths of 64 bits
                long_length = struct.unpack("<8xQ", body[:16])[0]
            elif kind != b"ds64":
                file.seek(length + length % 2, 1)
    return 0


def read_wav(path: Path, sampling_rate: int | None = None, promised: str | None = None) -> tuple[np.ndarray, int]:
    """Samples and rate of a mono WAV file, RF64 and files of unknown length among them.

    Parameters
    ----------
    path : Path
    sampling_rate : int, optional
        The rate in Hz that the file must have.
    promised : str, optional
        Who says that the samples are 16-bit integers, such as ``"101_AV.hea"``. Any encoding will do without.

    Returns
    -------
    waveform : ndarray (samples,), float32
        Full scale is 1; 16-bit samples are divided by 32768.
    sampling_rate : int
        Hz.

    Raises
    ------
    DataError
        Where the file is missing, no WAV, cut off, empty, not mono, of another rate or encoding, or has samples that
        are not finite or lie beyond full scale.
    """
    import soundfile

    try:
        if not path.is_file():
            raise DataError("a WAV file", file=path)
        with soundfile.SoundFile(path) as file:
            container, subtype, what = file.format, file.subtype, f"{file.format_info}, {file.subtype_info}"
            rate, waveform = file.samplerate, file.read(dtype="float32", always_2d=True)
        missing = _bytes_cut_off(path)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(f"a readable WAV file ({error})", file=path) from None
    except OSError as error:
        raise DataError(f"a file that can be read ({error.strerror})", file=path) from None
    if promised and (container not in CONTAINERS or subtype != "PCM_16"):
        raise DataError(f"format 16 in a WAV file, as in {promised}", file=path, field="format", value=what)
    if container not in CONTAINERS:
        raise DataError("a WAV file", file=path, field="format", value=what)
    if missing:
        raise DataError("all samples its header announces", file=path, field="data", value=f"{missing} bytes missing")
    if waveform.shape[1] != 1:
        raise DataError("one channel", file=path, field="channels", value=waveform.shape[1])
    if sampling_rate is not None and rate != sampling_rate:
        raise DataError(f"{sampling_rate} Hz", file=path, field="sampling rate", value=rate)
    if not len(waveform):
        raise DataError("at least one sample", file=path, field="data", value="no samples")
    peak = float(np.abs(waveform).max())
    if not peak <= 1:  # also catches NaN
        raise DataError(f"finite samples from -1 to 1 ({what})", file=path, field="data", value=peak)
    return waveform[:, 0], rate


def write_wav(path: Path, waveform: np.ndarray, sampling_rate: int, comment: str | None = None) -> None:
    """Write a mono 16-bit WAV file: it is there whole or not at all.

    Parameters
    ----------
    path : Path
    waveform : ndarray (samples,)
        From -1 to 1.
    sampling_rate : int
        Hz.
    comment : str, optional
        Goes into the file's INFO chunk, *after* the samples: CirCor's headers say that they begin at byte 44.

    Raises
    ------
    DataError
        Where the waveform is not one-dimensional, not finite, or leaves full scale.
    OSError
        As of `hldm.paths.replacing`.
    """
    import soundfile

    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise DataError("a waveform of shape (samples,)", file=path, field="waveform", value=waveform.shape)
    peak = np.abs(waveform).max(initial=0)
    if not peak <= 1:  # also catches NaN
        raise DataError("finite samples from -1 to 1", file=path, field="waveform", value=float(peak))
    samples = np.clip(np.round(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    made = io.BytesIO()  # libsndfile says nothing of a last chunk that a full disk cut off
    with soundfile.SoundFile(made, "w", sampling_rate, channels=1, subtype="PCM_16", format="WAV") as file:
        file.write(samples)
        if comment:
            file.comment = comment
    with replacing(path) as partial:
        partial.write_bytes(made.getvalue())
