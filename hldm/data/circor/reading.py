"""The files of a CirCor corpus read together: the table and each patient's ``.txt``, header, samples and segments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from hldm.data.circor.format import (
    OPTIONAL,
    SAMPLING_RATE,
    Patient,
    format_patient,
    location_of,
    parse_patient,
    read_header,
    read_patient,
    read_segments,
)
from hldm.data.errors import DataError, refuse
from hldm.data.folders import beside, files
from hldm.data.records import Recording
from hldm.data.rows import COLUMNS
from hldm.data.text import read_csv
from hldm.data.wav import read_wav

FOLDER = "training_data"
TABLE = "training_data.csv"
#: The column of sites, in the current and in the older release.
LOCATIONS = ("Recording locations:", "Locations")


def read_patient_table(root: Path, on_defect: Callable[[DataError], None] = refuse) -> pd.DataFrame:
    """``training_data.csv`` as text, indexed by patient id.

    Raises
    ------
    DataError
        Where there is no such table, or a column is missing; for a defective row, by `on_defect`.
    """
    path = root / TABLE
    columns = ["Patient ID", *(name for name in COLUMNS.values() if name not in OPTIONAL)]
    table = read_csv(path, columns, key="Patient ID", on_defect=on_defect)
    if not any(name in table for name in LOCATIONS):
        raise DataError(f"the column {LOCATIONS[0]!r}", file=path, field="columns", value=list(table))
    return table.set_index("Patient ID")


def patient_files(root: Path, table: pd.DataFrame | None) -> list[Path]:
    """The ``.txt`` of each patient, in the order of the table; those it does not know come last.

    A text that is in no table and has no recordings beside it is somebody's note, and passed over. A patient of the
    table whose recordings are there has a text, too: where it is missing, reading it says so.
    """
    folder = root / FOLDER
    row_of = {} if table is None else {patient_id: number for number, patient_id in enumerate(table.index)}
    recorded = {path.stem.partition("_")[0] for path in files(folder, ".hea", ".wav", ".tsv")}
    texts = [path for path in files(folder, ".txt") if path.stem in row_of or path.stem in recorded]
    texts += [folder / f"{name}.txt" for name in (recorded & row_of.keys()) - {path.stem for path in texts}]
    return sorted(texts, key=lambda path: row_of.get(path.stem, len(row_of)))


def agreed(path: Path, patient: Patient, table: pd.DataFrame) -> Patient:
    """The same patient, once its ``.txt`` at `path` has been found to agree with its row of the table."""
    if patient.patient_id not in table.index:
        raise DataError(f"a patient of {TABLE}", file=path, field="id", value=patient.patient_id)
    row = table.loc[patient.patient_id]
    sites = next(name for name in LOCATIONS if name in row)
    by_table = parse_patient(patient.patient_id, row.to_dict(), (), path.parents[1] / TABLE)
    table_says = format_patient(by_table) | {sites: "+".join(sorted(row[sites].split("+")))}
    file_says = format_patient(patient) | {sites: "+".join(sorted(patient.locations))}
    for name in table_says:
        if name in row.index and file_says[name] != table_says[name]:
            expected = f"{table_says[name]!r}, as in {TABLE}"
            raise DataError(expected, file=path, field=name, value=file_says[name])
    return patient


def read_agreed(path: Path, table: pd.DataFrame) -> Patient:
    """A patient whose ``.txt`` at `path` is sound and agrees with its row of the table."""
    return agreed(path, read_patient(path), table)


def read_recording(folder: Path, patient: Patient, name: str) -> Recording:
    """Read header, samples and segmentation of one recording, which must agree with one another."""
    samples = read_header(folder / f"{name}.hea")
    path = beside(folder / f"{name}.wav")
    waveform, rate = read_wav(path, SAMPLING_RATE, f"{name}.hea")
    if len(waveform) != samples:
        raise DataError(f"{samples} samples, as in its header", file=path, field="samples", value=len(waveform))
    location = location_of(name)
    return Recording(
        waveform=waveform,
        sampling_rate=rate,
        location=location,
        segments=read_segments(folder / f"{name}.tsv", len(waveform) / rate),
        record=patient.record.replace(location=location),
        patient_id=patient.patient_id,
        name=name,
        path=path,
    )
