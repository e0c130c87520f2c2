"""Writing a corpus in CirCor's layout, so that `CircorCorpus` reads it back."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from hldm.data.circor.format import (
    SAMPLING_RATE,
    Patient,
    format_header,
    format_patient,
    format_patient_file,
    format_segments,
)
from hldm.data.errors import DataError
from hldm.data.records import Recording, Segment, State
from hldm.data.rows import COLUMNS
from hldm.data.wav import write_wav
from hldm.paths import replacing


def write_corpus(
    root: str | PathLike,
    patients: Iterable[tuple[Patient, Sequence[Recording]]],
    *,
    comment: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Write patients and their recordings as ``training_data``, its table, ``RECORDS`` and checksums.

    Patients are taken one by one, so a corpus need not fit in memory. All is written under a temporary name
    beside `root` and renamed at the end: a corpus is there whole or not at all.

    Parameters
    ----------
    root : path
        A folder that does not exist yet, or is empty.
    patients : iterable of (Patient, sequence of Recording)
        The recordings are those that the patient names, in that order, at 4,000 Hz. A recording without segments
        gets a table that calls all of it unannotated.
    comment : str, optional
        Stands in every WAV file, for instance to mark it as synthetic.
    texts : mapping of file name to text, optional
        Further files beside the table, such as a licence. Read after the last patient.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    FileExistsError
        Where `root` is there and not empty.
    OSError
        As of `hldm.paths.replacing`.
    DataError
        Where a recording is not its patient's, has another rate, or leaves full scale.
    """
    root = Path(root).expanduser()
    check_unused(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with replacing(root, wait=False) as partial:
        check_unused(root)  # another process may just have finished
        (partial / "training_data").mkdir(parents=True)
        rows = [_write_patient(partial / "training_data", *each, comment) for each in patients]
        _write_tables(partial, rows, texts or {})
    return root


def check_unused(folder: Path) -> None:
    """Raise `FileExistsError` where a new corpus would hide or mingle with what is there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty")


def _write_patient(folder: Path, patient: Patient, recordings: Sequence[Recording], comment: str | None) -> Patient:
    if not re.fullmatch(r"[A-Za-z0-9-]+", patient.patient_id):
        raise DataError("letters, digits and hyphens", field="patient id", value=patient.patient_id)
    names = [(patient.patient_id, name) for name in patient.recordings]
    if (found := [(r.patient_id, r.name) for r in recordings]) != names:
        raise DataError(f"the recordings {names}", field=f"patient {patient.patient_id}", value=found)
    for recording in recordings:
        name = recording.name
        if not name.startswith(f"{patient.patient_id}_"):
            raise DataError(f"a name that begins with {patient.patient_id}_", field="recording", value=name)
        if recording.sampling_rate != SAMPLING_RATE:
            expected = f"{SAMPLING_RATE} Hz; resample first"
            raise DataError(expected, field=f"{name}: sampling rate", value=recording.sampling_rate)
        segments = recording.segments or [Segment(0, recording.duration, State.UNANNOTATED)]
        write_wav(folder / f"{name}.wav", recording.waveform, SAMPLING_RATE, comment)
        _write(folder / f"{name}.hea", format_header(name, len(recording.waveform)))
        _write(folder / f"{name}.tsv", format_segments(segments))
    _write(folder / f"{patient.patient_id}.txt", format_patient_file(patient))
    return patient


def _write_tables(root: Path, patients: Sequence[Patient], texts: Mapping[str, str]) -> None:
    with (root / "training_data.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["Patient ID", "Recording locations:", *COLUMNS.values(), "Campaign", "Additional ID"])
        for patient in patients:
            sites = "+".join(patient.locations)
            table.writerow([patient.patient_id, sites, *format_patient(patient).values()])
    _write(root / "RECORDS", "".join(f"training_data/{name}\n" for p in patients for name in p.recordings))
    for name, text in texts.items():
        _write(root / name, text)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(root).as_posix()}\n" for path in files]
    _write(root / "SHA256SUMS.txt", "".join(sums))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
