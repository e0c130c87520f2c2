"""A `ClinicalRecord` as a flat row of cells: the names of its columns, and the way there and back."""

from __future__ import annotations

from collections.abc import Mapping

from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord, DiastolicMurmur, SystolicMurmur

MISSING = "nan"
#: Field of a `ClinicalRecord` -> its name in the corpus, in the published order.
COLUMNS = {
    "age_group": "Age", "sex": "Sex", "height_cm": "Height", "weight_kg": "Weight", "pregnant": "Pregnancy status",
    "murmur": "Murmur", "murmur_locations": "Murmur locations", "most_audible_location": "Most audible location",
    **{f"{phase} {name}": f"{phase.capitalize()} murmur {word}"
       for phase in ("systolic", "diastolic")
       for name, word in {"timing": "timing", "shape": "shape", "grade": "grading",
                          "pitch": "pitch", "quality": "quality"}.items()},
    "outcome": "Outcome",
}  # fmt: skip
#: Field of a record -> its column: CirCor's name where CirCor has the field.
NAMES = {**COLUMNS, **{name: name for name in ("age_years", "heart_rate", "conditions", "location")}}
#: Other spellings of a column: the field's own name, "systolic murmur grade" as "systolic_grade" or "systolic.grade".
SPELLINGS = {
    spelled.casefold(): field
    for field, column in NAMES.items()
    for spelled in (column, field, field.replace(" ", "_"), field.replace(" ", "."))
}
NUMBERS = ("age_years", "height_cm", "weight_kg", "heart_rate")
SEQUENCES = ("murmur_locations", "conditions")
KINDS = {kind.phase: kind for kind in (SystolicMurmur, DiastolicMurmur)}


def to_row(record: ClinicalRecord) -> dict[str, str | float | bool]:
    """What a record knows, by column, as JSON can hold it.

    Categories are spelled as CirCor spells them; several sites or diagnoses are joined by ``+``. A murmur of which
    nothing is known but its phase has no column; the row says so by ``"systolic": True``.
    """
    row: dict[str, str | float | bool] = {}
    for field, column in NAMES.items():
        value = record.value_of(field)
        if value not in (None, ()):
            row[column] = "+".join(value) if isinstance(value, tuple) else value if field in NUMBERS else _plain(value)
    for phase, kind in KINDS.items():
        if getattr(record, phase) == kind():
            row[phase] = True
    return row


def _plain(value: object) -> str | bool:
    return value if isinstance(value, bool) else str(value)


def from_row(row: Mapping[str, str]) -> ClinicalRecord:
    """The record of a table's row, whose keys are fields of `NAMES` and whose cells are text.

    Cells are spelled as CirCor spells them; pandas and spreadsheets may have touched them (``TRUE``, an empty cell).

    Raises
    ------
    DataError
        For a value outside its vocabulary or range; `field` is the column as CirCor spells it.
    """
    values: dict = {field: _value(field, text) for field, cell in row.items() if (text := known(cell))}
    try:
        for phase, kind in KINDS.items():
            attributes = {name: values.pop(f"{phase} {name}") for name in kind.kinds if f"{phase} {name}" in values}
            values |= {phase: kind(**attributes)} if attributes else {}
        return ClinicalRecord(**values)
    except DataError as error:
        raise DataError(error.expected, field=NAMES.get(error.field, error.field), value=error.value) from None


def known(cell: str) -> str | None:
    """What a cell says; None where it is empty or ``nan``."""
    cell = cell.strip()
    return None if cell.casefold() in ("", MISSING) else cell


def _value(field: str, text: str) -> object:
    if field == "pregnant":
        if text.casefold() not in ("true", "false"):
            raise DataError("True, False or nan", field=NAMES[field], value=text)
        return text.casefold() == "true"
    if field not in SEQUENCES:
        return text
    return tuple(text.split("+"))
