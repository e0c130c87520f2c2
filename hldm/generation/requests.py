"""What is asked for: one prompt, a file of prompts, or a table of records, checked before any sound is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hldm.data.errors import DataError
from hldm.data.priors.population import complete_record
from hldm.data.records import ClinicalRecord
from hldm.data.rows import NAMES, SPELLINGS, from_row, to_row
from hldm.data.text import read_csv, read_text, whole_number
from hldm.knowledge import Reading, read_prompt

SEEDS = 2**63  # of torch's generators
#: Columns that hold no field of a record: their spellings, and those of CirCor's table that are passed over.
FURTHER = {"name": "name", "seed": "seed", "prompt": "prompt", "patient id": "name"}
NOT_OF_THE_RECORD = ("Recording locations:", "Locations", "Campaign", "Additional ID")


@dataclass(frozen=True)
class Request:
    """One sound that is wanted.

    Attributes
    ----------
    name : str
        Of its files, without ending.
    record : ClinicalRecord
        As asked for; what it leaves open is drawn with the seed.
    seed : int
    prompt : str or None
        The text, where there was one.
    understood, implied, unknown : tuple of str
        What the reader made of it, as of `hldm.knowledge.Reading`.
    """

    name: str
    record: ClinicalRecord
    seed: int
    prompt: str | None = None
    understood: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of_reading(cls, name: str, prompt: str, seed: int, reading: Reading) -> Request:
        """A request by a prompt that has been read.

        Raises
        ------
        DataError
            Where nothing in the prompt was understood.
        """
        if not reading.problems:
            reading.require(prompt)
        return cls(
            name, reading.record, seed, prompt,
            understood=tuple(fact.text for fact in reading.understood),
            implied=tuple(f"{fact.field} ({fact.text})" for fact in reading.implied),
            unknown=reading.unknown,
        )  # fmt: skip


def read_prompts(path: Path, seed: int = 0) -> list[Request]:
    """A file of prompts, one a line; blank lines and those that begin with ``#`` are passed over.

    The k-th prompt is called after the file and k, and has the seed ``seed + k - 1``.

    Raises
    ------
    DataError
        For the first line whose prompt contradicts itself, holds an impossible value, or is not understood at all.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), start=1)]
    asked = [(number, line) for number, line in lines if line and not line.startswith("#")]
    requests = []
    for k, (number, prompt) in enumerate(asked):
        where = f"line {number}"
        reading = _read(prompt, ClinicalRecord(), path, where)
        request = Request.of_reading(_default_name(path, k), prompt, seed + k, reading)
        requests.append(_checked(request, path, where))
    return _some(requests, path)


def read_records(path: Path, seed: int = 0) -> list[Request]:
    """A table of records, one a row.

    Columns are named as the fields of `ClinicalRecord` or as in CirCor (`hldm.data.rows.SPELLINGS`); ``nan``
    and empty cells are unknown. Three more are optional: ``name`` of the files, ``seed``, and ``prompt``, which adds
    to the row's fields and may not contradict them. The k-th row is otherwise called after the table and k, and has
    the seed ``seed + k - 1``. Of CirCor's own table, the patient's id is the name; what tells nothing of the patient
    (`NOT_OF_THE_RECORD`) is passed over.

    Raises
    ------
    DataError
        For an unknown or repeated column, the first row with an impossible value or with a cell too many or too few,
        and a name that stands twice.
    """
    table = read_csv(path)
    table = table.drop(columns=[column for column in table if column in NOT_OF_THE_RECORD])
    columns = {column: _field(path, column) for column in table}
    if repeated := [c for c, field in columns.items() if list(columns.values()).count(field) > 1]:
        raise DataError("each field in one column", file=path, field="columns", value=repeated)
    rows = table.rename(columns=columns).to_dict("records")
    requests = [_of_row(row, path, k, seed) for k, row in enumerate(rows)]
    names: dict[str, int] = {}
    for k, request in enumerate(requests, start=1):
        if (first := names.setdefault(request.name.casefold(), k)) != k:
            raise DataError(f"another name than row {first}", file=path, field=f"row {k}: name", value=request.name)
    return _some(requests, path)


def _field(path: Path, column: str) -> str:
    """The field that a column holds."""
    field = FURTHER.get(column.casefold(), SPELLINGS.get(column.casefold(), column.casefold()))
    if field not in (*NAMES, "name", "seed", "prompt"):
        known = ", ".join(dict.fromkeys((*NAMES.values(), "name", "seed", "prompt")))
        raise DataError(f"columns among {known}", file=path, field="columns", value=column)
    return field


def _of_row(row: dict[str, str], path: Path, k: int, seed: int) -> Request:
    where = f"row {k + 1}"
    prompt = row.pop("prompt", "") or None
    name = whole_number(row.pop("name", "")) or _default_name(path, k)
    seed = _seed(row.pop("seed", ""), seed + k, path, where)
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise DataError("letters, digits, _, - and .", file=path, field=f"{where}: name", value=name)
    try:
        record = from_row(row)
    except DataError as error:
        raise DataError(error.expected, file=path, field=f"{where}: {error.field}", value=error.value) from None
    if prompt is None:
        return _checked(Request(name, record, seed), path, where)
    reading = _read(prompt, record, path, where)
    told = to_row(reading.record)
    for column, value in to_row(record).items():
        if told.get(column) != value:
            expected = f"{value!r} as in the row's own column, or a prompt that leaves it alone"
            raise DataError(expected, file=path, field=f"{where}: prompt: {column}", value=told.get(column, "nothing"))
    return _checked(Request.of_reading(name, prompt, seed, reading), path, where)


def _seed(text: str, otherwise: int, path: Path, where: str) -> int:
    if not text:
        return otherwise
    if not re.fullmatch(r"\d+", whole_number(text)) or int(whole_number(text)) >= SEEDS:
        raise DataError("a whole number from 0 to 2**63 - 1", file=path, field=f"{where}: seed", value=text)
    return int(whole_number(text))


def _read(prompt: str, base: ClinicalRecord, path: Path, where: str) -> Reading:
    try:
        return read_prompt(prompt, base=base).require(prompt)
    except DataError as error:
        field = f"{where}: {error.field}" if error.field else where
        raise DataError(error.expected, file=path, field=field, value=error.value) from None


def _checked(request: Request, path: Path, where: str) -> Request:
    """The same request, once its record has been found to be one that can be completed."""
    if request.seed >= SEEDS:
        raise DataError("a seed below 2**63", file=path, field=f"{where}: seed", value=request.seed)
    try:
        complete_record(request.record, request.seed)
    except ValueError as error:
        expected = f"a patient as CirCor has them ({error})"
        raise DataError(expected, file=path, field=where, value=to_row(request.record)) from None
    return request


def _default_name(path: Path, k: int) -> str:
    """Called after its file, in characters that any file system takes."""
    return f"{re.sub(r'[^A-Za-z0-9-]+', '_', path.stem)}-{k + 1:04d}"


def _some(requests: Sequence[Request], path: Path) -> list[Request]:
    if not requests:
        raise DataError("at least one prompt or record", file=path, value="none")
    return list(requests)


def not_understood(requests: Iterable[Request]) -> list[str]:
    """A warning for each request whose prompt holds words that mean nothing to the reader."""
    return [f"{request.name}: not understood: {'; '.join(request.unknown)}" for request in requests if request.unknown]
