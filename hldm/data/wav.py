"""Reading and writing 16-bit mono WAV files, with every defect named."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np

from hldm.data.errors import DataError
from hldm.paths import replacing

FULL_SCALE = 32768  # 16-bit integers per unit of waveform


def _bytes_cut_off(path: Path) -> int:
    """Bytes that the ``data`` chunk announces and the file does not hold; libsndfile is silent about them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(12)  # past "RIFF", its size and "WAVE"
        while len(head := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", head)
            if kind == b"data":
                return max(0, length - (size - file.tell()))
            file.seek(length + length % 2, 1)
    return 0


def read_wav(path: Path, sampling_rate: int | None = None) -> tuple[np.ndarray, int]:
    """Samples and rate of a mono WAV file.

    Parameters
    ----------
    path : Path
    sampling_rate : int, optional
        The rate in Hz that the file must have.

    Returns
    -------
    waveform : ndarray (samples,), float32
        Full scale is 1; 16-bit samples are divided by 32768.
    sampling_rate : int
        Hz.

    Raises
    ------
    DataError
        Where the file is missing, no WAV, cut off, empty, not mono, or of another rate.
    """
    import soundfile

    if not path.is_file():
        raise DataError("a WAV file", file=path)
    try:
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(f"a readable WAV file ({error})", file=path) from None
    if missing := _bytes_cut_off(path):
        raise DataError("all samples its header announces", file=path, field="data", value=f"{missing} bytes missing")
    if waveform.shape[1] != 1:
        raise DataError("one channel", file=path, field="channels", value=waveform.shape[1])
    if sampling_rate is not None and rate != sampling_rate:
        raise DataError(f"{sampling_rate} Hz", file=path, field="sampling rate", value=rate)
    if not len(waveform):
        raise DataError("at least one sample", file=path, field="data", value="no samples")
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
