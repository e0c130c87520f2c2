"""A whole corpus at a glance: every problem at once, and how often each oddity occurs."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hldm.data.circor.format import TOLERANCE, Patient, read_patient
from hldm.data.circor.reading import FOLDER, agreed, patient_files, read_patient_table, read_recording
from hldm.data.errors import DataError
from hldm.data.folders import files
from hldm.data.records import Murmur, Outcome, Recording, State
from hldm.data.sums import SUMS, differing

#: What CirCor has and a reader must survive, for patients and for recordings. None of it is a problem.
PATIENT_ODDITIES = {
    "without age": lambda p: p.record.age_group is None,
    "without height": lambda p: p.record.height_cm is None,
    "without weight": lambda p: p.record.weight_kg is None,
    "pregnant": lambda p: p.record.pregnant is True,
    "murmur unknown": lambda p: p.record.murmur == Murmur.UNKNOWN,
    "diastolic murmur only": lambda p: p.record.diastolic is not None and p.record.systolic is None,
    "murmur absent, outcome abnormal":
        lambda p: (p.record.murmur, p.record.outcome) == (Murmur.ABSENT, Outcome.ABNORMAL),
    "murmur present, outcome normal":
        lambda p: (p.record.murmur, p.record.outcome) == (Murmur.PRESENT, Outcome.NORMAL),
    "with an additional id": lambda p: p.additional_id is not None,
    "a site recorded repeatedly": lambda p: len(set(p.locations)) < len(p.locations),
}  # fmt: skip
RECORDING_ODDITIES = {
    "name with a number": lambda r: r.name.count("_") > 1,
    "at another site (Phc)": lambda r: r.location == "Phc",
    "nothing annotated": lambda r: all(s.state == State.UNANNOTATED for s in r.segments),
    "no complete beat": lambda r: not len(r.cycles),
    "table starts after 0 s": lambda r: r.segments[0].start > 0,
    "table ends early": lambda r: r.segments[-1].end < r.duration - TOLERANCE,
    "segments overlap (> 1 ms)": lambda r: _steps(r).min(initial=0) < -TOLERANCE,
    "gaps between segments (> 1 ms)": lambda r: _steps(r).max(initial=0) > TOLERANCE,
    "segment of no length": lambda r: any(s.start == s.end for s in r.segments),
}


def _steps(recording: Recording) -> np.ndarray:
    """Seconds from the end of each segment to the start of the next, (segments - 1,)."""
    times = np.array([s[:2] for s in recording.segments])
    return times[1:, 0] - times[:-1, 1]


@dataclass(frozen=True)
class CorpusReport:
    """What `CircorCorpus.check` found; prints as a table.

    Attributes
    ----------
    patients, recordings, absent : int
        Read without a problem; and patients of the table without files.
    hours, unannotated : float
        Of sound, and the share of them in `State.UNANNOTATED` or outside the tables.
    patient_oddities, recording_oddities : dict of str to int
    problems : tuple of DataError
    elapsed : float
        Seconds the check took.
    """

    root: Path
    patients: int = 0
    recordings: int = 0
    absent: int = 0
    hours: float = 0.0
    unannotated: float = 0.0
    patient_oddities: dict[str, int] = field(default_factory=dict)
    recording_oddities: dict[str, int] = field(default_factory=dict)
    problems: tuple[DataError, ...] = ()
    elapsed: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        rows = [
            ("patients", self.patients), *((f"  {name}", n) for name, n in self.patient_oddities.items()),
            ("  in the table, without files", self.absent),
            ("recordings", self.recordings), *((f"  {name}", n) for name, n in self.recording_oddities.items()),
            ("hours of sound", f"{self.hours:.2f}"), ("  not annotated", f"{self.unannotated:.0%}"),
            ("problems", len(self.problems)),
        ]  # fmt: skip
        width = max(len(name) for name, _ in rows)
        table = [f"{name:<{width}}  {value:>7}" for name, value in rows]
        problems = [f"- {problem}" for problem in self.problems]
        return "\n".join([f"{self.root}, read in {self.elapsed:.1f} s", *table, *problems])


def check(root: Path) -> CorpusReport:
    """Read all of a corpus; a problem with one file does not hide those with others."""
    began = time.perf_counter()
    folder = root / FOLDER
    problems: list[DataError] = []

    def attempt(read, *args):
        try:
            return read(*args)
        except DataError as problem:
            problems.append(problem)

    table = attempt(read_patient_table, root, problems.append)
    paths = patient_files(root, table)
    patients = [patient for path in paths if (patient := attempt(read_patient, path))]
    if not paths:
        problems.append(DataError("the files of at least one patient", file=folder, value="none"))
    if table is not None:
        for patient in patients:
            attempt(agreed, folder / f"{patient.patient_id}.txt", patient, table)
    recordings, seconds, annotated, odd = 0, 0.0, 0.0, Counter()
    for patient in patients:
        for name in patient.recordings:
            if recording := attempt(read_recording, folder, patient, name):
                recordings += 1
                seconds += recording.duration
                annotated += sum(s.end - s.start for s in recording.segments if s.state != State.UNANNOTATED)
                odd.update(what for what, has in RECORDING_ODDITIES.items() if has(recording))
    problems += _unlisted(folder, patients, paths)
    if (root / SUMS).is_file():
        attempt(lambda: problems.extend(differing(root)))
    return CorpusReport(
        root=root,
        patients=len(patients),
        recordings=recordings,
        absent=0 if table is None else len(set(table.index) - {path.stem for path in paths}),
        hours=seconds / 3600,
        unannotated=1 - annotated / seconds if seconds else 0.0,
        patient_oddities={what: sum(map(has, patients)) for what, has in PATIENT_ODDITIES.items()},
        recording_oddities={what: odd[what] for what in RECORDING_ODDITIES},
        problems=tuple(problems),
        elapsed=time.perf_counter() - began,
    )


def _unlisted(folder: Path, patients: list[Patient], texts: list[Path]) -> list[DataError]:
    """Sounds that no ``.txt`` lists, but those of patients whose ``.txt`` could not be read."""
    listed = {name for patient in patients for name in patient.recordings}
    unread = {path.stem for path in texts} - {patient.patient_id for patient in patients}
    return [
        DataError("a recording that its patient's .txt lists", file=path)
        for path in files(folder, ".wav")
        if path.stem not in listed and path.stem.partition("_")[0] not in unread
    ]
