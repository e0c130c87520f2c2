"""The CirCor DigiScope corpus as published: one `Recording` at a time, in the order of its patient table.

Oliveira et al., "The CirCor DigiScope Dataset: From Murmur Detection to Murmur Classification", IEEE JBHI 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hldm.data.circor.format import (
    COLUMNS,
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
from hldm.data.errors import DataError
from hldm.data.records import Recording
from hldm.data.text import read_csv
from hldm.data.wav import read_wav

if TYPE_CHECKING:
    from hldm.data.circor.check import CorpusReport

TABLE = "training_data.csv"
#: The column of sites, in the current and in the older release.
LOCATIONS = ("Recording locations:", "Locations")


class CircorCorpus:
    """A corpus in CirCor's layout: ``training_data.csv`` beside the folder ``training_data``.

    Iterating yields each `Recording` as its files are read; nothing is kept. Patients of the table whose files
    are not there are passed over, so that a part of the corpus can be read.

    Parameters
    ----------
    root : path
    split : {"train", "val", "test"}, optional
        Only the patients of this part.
    splits : mapping of patient id to part, optional
        Defaults to the project's split for CirCor's patients (`circor_split`), and to `split_by_person` for a
        corpus that has none of them.
    max_patients : int, optional
        Only so many patients, the first ones.

    Raises
    ------
    DataError
        On construction where `root` is no corpus; on reading where a file is not what the format promises.
        It names file, field, the value found and what was expected. `check` lists all of them at once.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = None,
        *,
        splits: Mapping[str, str] | None = None,
        max_patients: int | None = None,
    ):
        self.root = Path(root).expanduser()
        self.folder = self.root / "training_data"
        self.split, self.splits, self.max_patients = split, splits, max_patients
        if not self.folder.is_dir():
            raise DataError("a CirCor corpus with a folder training_data", file=self.root)
        if split not in (None, "train", "val", "test"):
            raise ValueError(f"split is {split!r}, expected 'train', 'val' or 'test'")

    def __repr__(self) -> str:
        part = f", split={self.split!r}" if self.split else ""
        return f"{type(self).__name__}({str(self.root)!r}{part})"

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.names)

    def __iter__(self) -> Iterator[Recording]:
        for patient in self.patients:
            for name in patient.recordings:
                yield read_recording(self.folder, patient, name)

    @cached_property
    def table(self) -> pd.DataFrame:
        """``training_data.csv`` as text, indexed by patient id."""
        path = self.root / TABLE
        table = read_csv(path, ["Patient ID", *(name for name in COLUMNS.values() if name not in OPTIONAL)])
        if not any(name in table for name in LOCATIONS):
            raise DataError(f"the column {LOCATIONS[0]!r}", file=path, field="columns", value=list(table))
        if len(twice := table["Patient ID"][table["Patient ID"].duplicated()]):
            raise DataError("each patient once", file=path, field="Patient ID", value=twice.iloc[0])
        return table.set_index("Patient ID")

    @cached_property
    def patients(self) -> tuple[Patient, ...]:
        """The patients whose files are there, in the order of the table."""
        paths = sorted(self.folder.glob("*.txt"), key=self._row_number)
        patients = [self.agreed(read_patient(path)) for path in paths]
        if self.split:
            from hldm.data.split import splits_for

            splits = splits_for(patients) if self.splits is None else self.splits
            if missing := [p.patient_id for p in patients if p.patient_id not in splits]:
                raise DataError("a part for every patient", file=self.root, field="splits", value=missing[0])
            patients = [p for p in patients if splits[p.patient_id] == self.split]
        return tuple(patients[: self.max_patients])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the recordings, in the order of iteration."""
        return tuple(name for patient in self.patients for name in patient.recordings)

    @cached_property
    def _patient_of(self) -> dict[str, Patient]:
        return {name: patient for patient in self.patients for name in patient.recordings}

    def recording(self, name: str) -> Recording:
        """Read one recording by its name, such as ``"9979_AV"``."""
        if name not in self._patient_of:
            raise KeyError(f"{name} is no recording of {self}")
        return read_recording(self.folder, self._patient_of[name], name)

    def check(self) -> CorpusReport:
        """Read everything, whatever the `split`, and list all problems at once.

        Returns
        -------
        CorpusReport
            Prints as a table; `problems` is empty for a sound corpus.
        """
        from hldm.data.circor.check import check

        return check(self)

    def agreed(self, patient: Patient) -> Patient:
        """The same patient, once its ``.txt`` has been found to agree with its row of the table."""
        path = self.folder / f"{patient.patient_id}.txt"
        if patient.patient_id not in self.table.index:
            raise DataError("a patient of training_data.csv", file=path, field="id", value=patient.patient_id)
        row = self.table.loc[patient.patient_id]
        sites = next(name for name in LOCATIONS if name in row)
        table_says = format_patient(parse_patient(patient.patient_id, row.to_dict(), (), self.root / TABLE))
        table_says[sites] = "+".join(sorted(row[sites].split("+")))
        file_says = format_patient(patient) | {sites: "+".join(sorted(patient.locations))}
        for name in table_says:
            if name in row.index and file_says[name] != table_says[name]:
                expected = f"{table_says[name]!r}, as in {TABLE}"
                raise DataError(expected, file=path, field=name, value=file_says[name])
        return patient

    def _row_number(self, path: Path) -> int:
        """Where the patient of a ``.txt`` stands in the table; at the end if it does not."""
        index = self.table.index
        return index.get_loc(path.stem) if path.stem in index else len(index)


def read_recording(folder: Path, patient: Patient, name: str) -> Recording:
    """Read header, samples and segmentation of one recording, which must agree with one another."""
    samples = read_header(folder / f"{name}.hea")
    path = folder / f"{name}.wav"
    waveform, rate = read_wav(path, SAMPLING_RATE)
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
