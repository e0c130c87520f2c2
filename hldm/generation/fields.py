"""A `ClinicalRecord` as a flat row: the names of its columns, and the way there and back."""

from __future__ import annotations

from collections.abc import Mapping

from hldm.data.circor.format import COLUMNS, MISSING
from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord, DiastolicMurmur, SystolicMurmur
from hldm.data.tables import read_table

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
        phase, _, attribute = field.partition(" ")
        value = getattr(record, phase)
        value = getattr(value, attribute, None) if attribute else value
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

    Raises
    ------
    DataError
        For a value outside its vocabulary or range; `field` is the column as CirCor spells it.
    """
    known: dict = {field: _value(field, text) for field, text in row.items() if text not in ("", MISSING)}
    for phase, kind in KINDS.items():
        attributes = {name: known.pop(f"{phase} {name}") for name in kind.kinds if f"{phase} {name}" in known}
        try:
            known |= {phase: kind(**attributes)} if attributes else {}
        except DataError as error:
            raise DataError(error.expected, field=NAMES[error.field], value=error.value) from None
    try:
        return ClinicalRecord(**known)
    except DataError as error:
        raise DataError(error.expected, field=NAMES.get(error.field, error.field), value=error.value) from None


def _value(field: str, text: str) -> object:
    if field == "pregnant":
        if text not in ("True", "False"):
            raise DataError("True, False or nan", field=NAMES[field], value=text)
        return text == "True"
    if field not in SEQUENCES:
        return text
    values = tuple(text.split("+"))
    if field == "conditions":
        known = set(read_table("conditions")["id"])
        if strange := [value for value in values if value not in known]:
            expected = "diagnoses of the knowledge graph, joined by +: " + ", ".join(sorted(known))
            raise DataError(expected, field=NAMES[field], value=strange[0])
    return values
