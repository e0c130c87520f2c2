"""Ask what if, in a running notebook: a form whose fields are those of a record."""

from __future__ import annotations

import dataclasses
import html
from enum import StrEnum
from typing import TYPE_CHECKING

from ipywidgets import HTML as Words
from ipywidgets import (
    Box,
    Button,
    Checkbox,
    Dropdown,
    FloatSlider,
    HBox,
    IntText,
    Layout,
    Output,
    SelectMultiple,
    Text,
    VBox,
)

from hldm.data.errors import DataError
from hldm.data.records import (
    AgeGroup,
    ClinicalRecord,
    DiastolicMurmur,
    Location,
    Murmur,
    Outcome,
    Sex,
    SystolicMurmur,
)  # fmt: skip
from hldm.data.tables import read_table
from hldm.knowledge import read_prompt
from hldm.show.difference import changes
from hldm.show.page import output
from hldm.show.session import on_page

if TYPE_CHECKING:
    from IPython.display import HTML

    from hldm.synthesis import HeartSound, Synthesizer

WIDE = Layout(width="20rem")
MURMURS = {"systolic": SystolicMurmur, "diastolic": DiastolicMurmur}
OPEN = ""  # what a menu holds for None, which it would show as nothing chosen
#: Fields that say nothing beside the murmur "Absent".
OF_MURMUR = ("murmur_locations", "most_audible_location", *(f"{p}.{n}" for p, k in MURMURS.items() for n in k.kinds))


class _Number(HBox):
    """A slider with a box that says whether the number is known at all; `value` is None where it is not."""

    def __init__(self, label: str, low: float, high: float, step: float):
        self.known = Checkbox(False, description=label, indent=False, layout=Layout(width="8rem"))
        self.slider = FloatSlider(
            (low + high) / 2, min=low, max=high, step=step, readout_format=".4g", disabled=True,
            layout=Layout(width="11.5rem"),
        )  # fmt: skip
        self.known.observe(lambda change: setattr(self.slider, "disabled", not change["new"]), "value")
        super().__init__([self.known, self.slider], layout=WIDE)

    @property
    def value(self) -> float | None:
        return self.slider.value if self.known.value else None

    @value.setter
    def value(self, number: float | None) -> None:
        self.known.value = number is not None
        if number is not None:
            self.slider.value = min(max(number, self.slider.min), self.slider.max)


def _choice(label: str, kind: type[StrEnum] | tuple) -> Dropdown:
    options = [("not known", OPEN), *((str(value), value) for value in kind)]
    return Dropdown(options=options, description=label, layout=WIDE)


def _several(label: str, options: list) -> SelectMultiple:
    return SelectMultiple(options=options, description=label, rows=5, layout=WIDE)


def _inputs() -> dict[str, object]:
    """A widget for every field of a `ClinicalRecord`, by its name; a murmur's attributes as "systolic.grade"."""
    table = read_table("conditions")
    conditions = list(zip(table["preferred_term"], table["id"], strict=True))
    pregnant = Dropdown(
        options=[("not known", OPEN), ("no", False), ("yes", True)], description="pregnant", layout=WIDE
    )
    inputs = {
        "age_group": _choice("age group", AgeGroup),
        "age_years": _Number("age (years)", 0, 25, 0.25),
        "sex": _choice("sex", Sex),
        "height_cm": _Number("height (cm)", 30, 200, 0.1),
        "weight_kg": _Number("weight (kg)", 1, 120, 0.1),
        "pregnant": pregnant,
        "outcome": _choice("outcome", Outcome),
        "heart_rate": _Number("rate (bpm)", 40, 200, 0.1),
        "location": _choice("listen at", Location),
        "murmur": _choice("murmur", Murmur),
        "murmur_locations": _several("heard at", [(str(site), site) for site in Location]),
        "most_audible_location": _choice("loudest at", Location),
        "conditions": _several("diagnoses", conditions),
    }
    for phase, kind in MURMURS.items():
        inputs |= {f"{phase}.{name}": _choice(name, values) for name, values in kind.kinds.items()}
    return inputs


class Form(VBox):
    """A form whose fields are a record's and whose output is a pair of players: a heart, and the same heart edited.

    Parameters
    ----------
    synth : Synthesizer
    base : HeartSound
        The heart to be edited.
    boost : bool
        As of `hldm.show.player`.
    options
        Of `Synthesizer.__call__`, such as `num_inference_steps`.

    Attributes
    ----------
    base, edited : HeartSound
        `edited` is None until the first edit is made.
    """

    def __init__(self, synth: Synthesizer, base: HeartSound, *, boost: bool = True, **options):
        self.synth, self.base, self.edited, self.boost, self.options = synth, base, None, boost, options
        self.inputs = _inputs()
        self.inputs["murmur"].observe(lambda change: self._lock(), "value")
        self.text = Text(placeholder="such as: grade III/VI, high-pitched", layout=Layout(width="26rem"))
        self.seed = IntText(base.seed, description="seed", layout=Layout(width="10rem"))
        self.message, self.output = Words(), Output()
        self.fill(base.record)
        rows = self._row(self.text, ("Read the text", self.read)), self._columns(), self._buttons()
        super().__init__([*rows, self.message, self.output])

    def _repr_mimebundle_(self, **options) -> dict:
        return {"text/html": _still(self)} if on_page() else super()._repr_mimebundle_(**options)

    def _row(self, *parts) -> HBox:
        """Widgets in a line; a pair of words and a method becomes a button."""
        row = [self._button(*part) if isinstance(part, tuple) else part for part in parts]
        return HBox(row, layout=Layout(flex_flow="row wrap"))

    def _button(self, words: str, action) -> Button:
        button = Button(description=words)
        button.on_click(lambda _: action())
        return button

    def _columns(self) -> HBox:
        """The fields under four headings, beside each other where the page is wide enough."""
        about = [name for name in self.inputs if "." not in name]
        groups = {"Patient": about[: about.index("heart_rate")], "Sound": about[about.index("heart_rate") :]}
        groups |= {
            f"{phase.capitalize()} murmur": [f"{phase}.{n}" for n in kind.kinds] for phase, kind in MURMURS.items()
        }
        boxes = [
            VBox(
                [Words(f"<b>{heading}</b>"), *(self.inputs[name] for name in names)], layout=Layout(margin="0 1rem 0 0")
            )
            for heading, names in groups.items()
        ]
        return self._row(*boxes)

    def _buttons(self) -> HBox:
        return self._row(("What if?", self.ask), ("Back to the base", self.reset), ("New heart", self.renew), self.seed)

    @property
    def record(self) -> ClinicalRecord:
        """What the form says; fields that nobody touched since `fill` keep their exact values.

        Raises
        ------
        DataError
            Where the fields contradict each other.
        """
        touched = {n: w.value for n, w in self.inputs.items() if w.value != self._shown[n]}
        touched = {name: None if value == OPEN else value for name, value in touched.items()}
        record = {name: value for name, value in touched.items() if "." not in name}
        for phase, kind in MURMURS.items():
            some = {name: touched[f"{phase}.{name}"] for name in kind.kinds if f"{phase}.{name}" in touched}
            if some:
                record[phase] = dataclasses.replace(getattr(self._filled, phase) or kind(), **some)
        if record.get("murmur") == Murmur.ABSENT:
            nothing = {"systolic": None, "diastolic": None, "murmur_locations": (), "most_audible_location": None}
            record |= nothing
        return self._filled.replace(**record)

    def fill(self, record: ClinicalRecord) -> None:
        """Show a record."""
        for name, widget in self.inputs.items():
            phase, _, attribute = name.rpartition(".")
            value = getattr(getattr(record, phase) if phase else record, attribute, None)
            widget.value = OPEN if value is None and isinstance(widget, Dropdown) else value
        self._filled, self._shown = record, {name: widget.value for name, widget in self.inputs.items()}

    def read(self) -> None:
        """Fill the form with what the text changes, and say how it was understood."""
        reading = read_prompt(self.text.value, base=self.record)
        self.fill(reading.record)
        self._tell(
            f"<b>{title}:</b> {html.escape('; '.join(map(str, words)))}"
            for title, words in {
                "Understood": [fact.text for fact in reading.understood],
                "Implied by the diagnosis": [fact.field.replace("_", " ") for fact in reading.implied],
                "Not understood": reading.unknown,
                "Problems": reading.problems,
            }.items()
            if words
        )

    def ask(self) -> None:
        """Edit the base so that its record is the form's, and play both."""
        try:
            steps = {name: value for name, value in self.options.items() if name != "duration"}
            self.edited = self.synth.what_if(self.base, self.record, **steps)
        except DataError as error:
            self._tell([html.escape(str(error))])
            return
        self._tell(map(html.escape, changes(self.base.record, self.edited.record) or ["Nothing was changed."]))
        self._show(self.base.compare(self.edited, titles=("Base", "Edited"), boost=self.boost))

    def renew(self) -> None:
        """Another heart with the form's record and the form's seed becomes the base."""
        try:
            self.base = self.synth(self.record, self.seed.value, **self.options)
        except DataError as error:
            self._tell([html.escape(str(error))])
            return
        self.edited = None
        self.reset()
        self._show(self.base.play(title=f"The new base, seed {self.seed.value}", boost=self.boost))

    def reset(self) -> None:
        """Show the record of the base again."""
        self.fill(self.base.record)
        self._tell([])

    def _lock(self) -> None:
        absent = self.inputs["murmur"].value == Murmur.ABSENT
        for name in OF_MURMUR:
            self.inputs[name].disabled = absent

    def _tell(self, lines) -> None:
        self.message.value = "<br>".join(lines)

    def _show(self, page: HTML) -> None:
        from IPython.display import clear_output, display

        with self.output:
            clear_output(wait=True)
            display(page)


def _still(form: Form) -> str:
    """The form on a page, which has no kernel: everything in it is off, and it says why."""
    note = "This form needs a kernel, and a page has none: open the notebook to use it."
    return output(f'<fieldset class="hldm-form" disabled><legend>{note}</legend>{_shown(form)}</fieldset>').data


def _shown(widget) -> str:
    if isinstance(widget, Output):
        return ""
    if isinstance(widget, Words):
        return f"<p>{widget.value}</p>" if widget.value else ""
    if isinstance(widget, Button):
        return f"<button>{widget.description}</button>"
    if isinstance(widget, Box) and not isinstance(widget, _Number):
        kind = "column" if isinstance(widget, VBox) else "row"
        return f'<div class="hldm-{kind}">{"".join(map(_shown, widget.children))}</div>'
    label, value = getattr(widget, "description", ""), getattr(widget, "label", getattr(widget, "value", None))
    if isinstance(widget, _Number):
        label = widget.known.description
    if isinstance(widget, Text):
        label, value = "Text", widget.placeholder
    says = "not known" if value is None or value == () else ", ".join(value) if isinstance(value, tuple) else str(value)
    return f'<label>{html.escape(label)} <input value="{html.escape(says)}"></label>'
