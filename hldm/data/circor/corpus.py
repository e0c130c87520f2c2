"""The CirCor DigiScope corpus as published: one `Recording` at a time, in the order of its patient table.

Oliveira et al., "The CirCor DigiScope Dataset: From Murmur Detection to Murmur Classification", IEEE JBHI 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from os import PathLike
from pathlib import Path

import pandas as pd

from hldm.data.circor.check import CorpusReport, check
from hldm.data.circor.format import Patient
from hldm.data.circor.reading import FOLDER, patient_files, read_agreed, read_patient_table, read_recording
from hldm.data.errors import DataError, Defects
from hldm.data.records import Recording


class CircorCorpus:
    """A corpus in CirCor's layout: ``training_data.csv`` beside the folder ``training_data``.

    Iterating yields each `Recording` as its files are read; nothing is kept. Patients of the table whose files
    are not there are passed over, so that a part of the corpus can be read. So are, with a warning each, files that
    are not what the format promises: a defective recording costs that recording, a defective ``.txt`` or row that
    patient. `left_out` names them.

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
    strict : bool
        Raise the first defect, instead of leaving it out.

    Raises
    ------
    DataError
        On construction where `root` is no corpus; on reading where there is no table or no patient at all, and,
        where `strict`, where a file is not what the format promises. It names file, field, the value found and what
        was expected. `check` lists all of them at once.
    """

    def __init__(
        self,
        root: str | PathLike,
        split: str | None = None,
        *,
        splits: Mapping[str, str] | None = None,
        max_patients: int | None = None,
        strict: bool = False,
    ):
        self.root = Path(root).expanduser()
        self.folder = self.root / FOLDER
        self.split, self.splits, self.max_patients = split, splits, max_patients
        self._defects = Defects(strict)
        try:
            if not self.folder.is_dir():
                raise DataError(f"a CirCor corpus with a folder {FOLDER}", file=self.root)
        except OSError as error:
            raise DataError(f"a folder that can be read ({error.strerror})", file=self.root) from None
        if split not in (None, "train", "val", "test"):
            raise ValueError(f"split is {split!r}, expected 'train', 'val' or 'test'")

    def __repr__(self) -> str:
        part = f", split={self.split!r}" if self.split else ""
        return f"{type(self).__name__}({str(self.root)!r}{part})"

    def __len__(self) -> int:
        """Number of recordings that the patients' files list."""
        return len(self.names)

    def __iter__(self) -> Iterator[Recording]:
        return self.recordings(self.names)

    @property
    def left_out(self) -> tuple[DataError, ...]:
        """What could not be read so far: all of it, after an iteration."""
        return tuple(self._defects.problems)

    @cached_property
    def table(self) -> pd.DataFrame:
        """``training_data.csv`` as text, indexed by patient id."""
        return read_patient_table(self.root, self._defects)

    @cached_property
    def patients(self) -> tuple[Patient, ...]:
        """The patients whose files are there and agree with the table, in its order."""
        read = [self._defects.attempt(read_agreed, path, self.table) for path in patient_files(self.root, self.table)]
        patients = [patient for patient in read if patient]
        if not patients:
            raise DataError("the files of at least one patient", file=self.folder, value="none")
        if self.split:
            from hldm.data.split import splits_for

            splits = splits_for(patients) if self.splits is None else self.splits
            if missing := [p.patient_id for p in patients if p.patient_id not in splits]:
                raise DataError("a part for every patient", file=self.root, field="splits", value=missing[0])
            patients = [p for p in patients if splits[p.patient_id] == self.split]
        return tuple(patients[: self.max_patients])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the recordings that the patients' files list, in the order of iteration."""
        return tuple(name for patient in self.patients for name in patient.recordings)

    @cached_property
    def _patient_of(self) -> dict[str, Patient]:
        return {name: patient for patient in self.patients for name in patient.recordings}

    def recordings(self, names: Iterable[str]) -> Iterator[Recording]:
        """Read these recordings one by one, but those that are defective."""
        for name in names:
            recording = self._defects.attempt(self.recording, name)
            if recording:
                yield recording

    def recording(self, name: str) -> Recording:
        """Read one recording by its name, such as ``"9979_AV"``.

        Raises
        ------
        KeyError
            Where the corpus has no such recording.
        DataError
            Where it is defective, whether the corpus is `strict` or not.
        """
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
        return check(self.root)
