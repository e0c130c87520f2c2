"""The text formats of a CirCor corpus, each with its reader and its writer: patient, row, header, segments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord, Location, Segment, State
from hldm.data.rows import COLUMNS, MISSING, from_row, known, to_row
from hldm.data.text import read_text, whole_number

SAMPLING_RATE = 4000  # Hz
#: Tables end with their recording; more than this many seconds beyond it contradict the audio.
TOLERANCE = 0.001
#: A recording's name: patient, site, and a number where the site was recorded more than once.
NAME = rf"(?P<patient>[A-Za-z0-9-]+)_(?P<site>{'|'.join(Location)})(_\d+)?"

#: Columns that only the newer release has.
OPTIONAL = {"Outcome"}


@dataclass(frozen=True)
class Patient:
    """One patient of a corpus.

    Attributes
    ----------
    patient_id : str
    record : ClinicalRecord
        Without a `location`: that belongs to a recording.
    recordings : tuple of str
        Names such as ``"9979_AV"`` or, where a site was recorded twice, ``"49748_AV_1"``.
    campaign : str or None
        The screening campaign, such as ``"CC2015"``.
    additional_id : str or None
        Another patient id of the same person, who came to both campaigns.
    """

    patient_id: str
    record: ClinicalRecord
    recordings: tuple[str, ...] = ()
    campaign: str | None = None
    additional_id: str | None = None

    @property
    def locations(self) -> tuple[Location, ...]:
        """The site of each recording."""
        return tuple(location_of(name) for name in self.recordings)


def location_of(name: str) -> Location:
    """Site of a recording by its name: ``"49748_AV_1"`` was taken at AV."""
    match = re.fullmatch(NAME, name)
    if not match:
        raise DataError("PATIENT_SITE or PATIENT_SITE_NUMBER", field="recording", value=name)
    return Location(match["site"])


def parse_patient(patient_id: str, fields: Mapping[str, str], recordings: Iterable[str], file: Path) -> Patient:
    """A patient from the text of its fields, spelled as the corpus spells them.

    Raises
    ------
    DataError
        For a missing field, or a value outside its vocabulary.
    """
    if absent := [name for name in COLUMNS.values() if name not in fields and name not in OPTIONAL]:
        raise DataError(f"the field {absent[0]!r}", file=file, field=f"patient {patient_id}", value=list(fields))
    try:
        record = from_row({name: fields.get(column, "") for name, column in COLUMNS.items()})
    except DataError as error:
        field = f"patient {patient_id}: {error.field}"
        raise DataError(error.expected, file=file, field=field, value=error.value) from None
    campaign, additional_id = (known(fields.get(name, "")) for name in ("Campaign", "Additional ID"))
    return Patient(patient_id, record, tuple(recordings), campaign, additional_id and whole_number(additional_id))


def format_patient(patient: Patient) -> dict[str, str]:
    """The fields of a patient as CirCor writes them, in the published order.

    CirCor has no place for `age_years`, `heart_rate` and `conditions`; those are not written.
    """
    row = to_row(patient.record)
    fields = {column: str(row.get(column, MISSING)) for column in COLUMNS.values()}
    return fields | {"Campaign": patient.campaign or MISSING, "Additional ID": patient.additional_id or MISSING}


def read_patient(path: Path) -> Patient:
    """Read a patient's ``.txt``: a line of counts, a line a recording, and ``#Field: value`` lines."""
    lines = read_text(path).splitlines()
    patient_id = path.stem
    rows = [line.split() for line in lines[1:] if line.strip() and not line.startswith("#")]
    if lines[:1] != [f"{patient_id} {len(rows)} {SAMPLING_RATE}"]:
        expected = f"'{patient_id} {len(rows)} {SAMPLING_RATE}': id, number of recordings listed below, Hz"
        raise DataError(expected, file=path, field="line 1", value=lines[0] if lines else "nothing")
    names = []
    for number, row in enumerate(rows, start=2):
        name = row[1].removesuffix(".hea") if len(row) == 4 else ""
        match = re.fullmatch(NAME, name)
        good = match and match["patient"] == patient_id and name not in names
        if not good or row != [match["site"], f"{name}.hea", f"{name}.wav", f"{name}.tsv"]:
            expected = f"SITE and the files {patient_id}_SITE.hea, .wav and .tsv of this folder, each once"
            raise DataError(expected, file=path, field=f"line {number}", value=" ".join(row))
        names.append(name)
    fields = dict(line[1:].partition(":")[::2] for line in lines if line.startswith("#"))
    return parse_patient(patient_id, fields, names, path)


def format_patient_file(patient: Patient) -> str:
    """The text of a patient's ``.txt``."""
    files = [
        f"{location} {name}.hea {name}.wav {name}.tsv"
        for location, name in zip(patient.locations, patient.recordings, strict=True)
    ]
    fields = [f"#{name}: {value}" for name, value in format_patient(patient).items()]
    return "\n".join([f"{patient.patient_id} {len(files)} {SAMPLING_RATE}", *files, *fields]) + "\n"


def read_header(path: Path) -> int:
    """Check a recording's ``.hea`` (WFDB) against its name; the number of samples it promises."""
    import wfdb

    name = path.stem
    try:
        if not path.is_file():
            raise FileNotFoundError("missing")
        header = wfdb.rdheader(str(path.with_suffix("")))
    except (ValueError, IndexError, AttributeError, TypeError, OSError) as error:
        raise DataError(f"a WFDB header ({error})", file=path) from None
    promised = {
        "record name": (header.record_name, name),
        "number of channels": (header.n_sig, 1),
        "sampling rate": (header.fs, SAMPLING_RATE),
        "file name": (header.file_name, [f"{name}.wav"]),
        "format": (header.fmt, ["16"]),
        "signal name": (header.sig_name, [location_of(name)]),
    }
    for field, (found, expected) in promised.items():
        if found != expected:
            raise DataError(str(expected), file=path, field=field, value=found)
    return header.sig_len


def format_header(name: str, samples: int) -> str:
    """The text of a recording's ``.hea``, with the line ends of the original."""
    signal = f"{name}.wav 16+44 1 16 0 0 0 0 {location_of(name)}"
    return f"{name} 1 {SAMPLING_RATE} {samples}\r\n{signal}\r\n"


def read_segments(path: Path, duration: float) -> tuple[Segment, ...]:
    """Read a segmentation table: start and end in seconds and a `State`, a row a segment.

    Gaps, overlaps and segments of no length are CirCor's own and pass.

    Raises
    ------
    DataError
        Where the table is missing or empty, a row is no segment, one begins before its predecessor or ends after
        `duration` seconds.
    """
    segments = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            start, end, state = line.split("\t")
            segment = Segment(float(start), float(end), State(int(state)))
            sound = 0 <= segment.start <= segment.end and math.isfinite(segment.end)
        except ValueError:
            sound = False
        if not sound:
            expected = "start and end in seconds and a state from 0 to 4, tab-separated"
            raise DataError(expected, file=path, field=f"line {number}", value=line)
        if segment.end > duration + TOLERANCE:
            expected = f"times within the recording of {duration:g} s"
            raise DataError(expected, file=path, field=f"line {number}", value=line)
        if segments and segment.start < segments[-1].start:
            raise DataError("segments in the order of time", file=path, field=f"line {number}", value=line)
        segments.append(segment)
    if not segments:
        raise DataError("at least one segment", file=path, value="an empty table")
    return tuple(segments)


def format_segments(segments: Iterable[Segment]) -> str:
    """The text of a segmentation table, times to the microsecond."""

    def seconds(time: float) -> str:
        return f"{time:.6f}".rstrip("0").rstrip(".")

    return "".join(f"{seconds(s.start)}\t{seconds(s.end)}\t{int(s.state)}\n" for s in segments)
