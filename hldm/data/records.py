"""What is known about a patient (`ClinicalRecord`) and about a recording (`Recording`).

Categorical values are string enums spelled as CirCor spells them, so ``record.murmur == "Present"`` holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from hldm.data.errors import DataError
from hldm.data.tables import rows


class AgeGroup(StrEnum):
    NEONATE = "Neonate"
    INFANT = "Infant"
    CHILD = "Child"
    ADOLESCENT = "Adolescent"
    YOUNG_ADULT = "Young adult"


class Sex(StrEnum):
    FEMALE = "Female"
    MALE = "Male"


class Murmur(StrEnum):
    PRESENT = "Present"
    ABSENT = "Absent"
    UNKNOWN = "Unknown"  # CirCor's word for a recording too poor to judge


class Location(StrEnum):
    AV = "AV"
    PV = "PV"
    TV = "TV"
    MV = "MV"
    PHC = "Phc"  # another site


class SystolicTiming(StrEnum):
    EARLY = "Early-systolic"
    MID = "Mid-systolic"
    LATE = "Late-systolic"
    HOLO = "Holosystolic"


class DiastolicTiming(StrEnum):
    EARLY = "Early-diastolic"
    MID = "Mid-diastolic"
    HOLO = "Holodiastolic"


class Shape(StrEnum):
    CRESCENDO = "Crescendo"
    DECRESCENDO = "Decrescendo"
    DIAMOND = "Diamond"
    PLATEAU = "Plateau"


class SystolicGrade(StrEnum):
    I = "I/VI"  # noqa: E741
    II = "II/VI"
    III = "III/VI"  # in CirCor: III or louder
    IV = "IV/VI"
    V = "V/VI"
    VI = "VI/VI"


class DiastolicGrade(StrEnum):
    I = "I/IV"  # noqa: E741
    II = "II/IV"
    III = "III/IV"
    IV = "IV/IV"


class Pitch(StrEnum):
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class Quality(StrEnum):
    BLOWING = "Blowing"
    HARSH = "Harsh"
    MUSICAL = "Musical"


class Outcome(StrEnum):
    NORMAL = "Normal"
    ABNORMAL = "Abnormal"


def _choice(kind: type[StrEnum], value: object, name: str):
    if value is None or isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        raise DataError("one of " + ", ".join(kind), field=name, value=value) from None


@cache
def _conditions() -> frozenset[str]:
    """The ids of the knowledge tables."""
    return frozenset(row["id"] for row in rows("conditions"))


def _within(value: float | None, low: float, high: float, name: str, unit: str) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not low <= number <= high:
        raise DataError(f"a number from {low:g} to {high:g} {unit}", field=name, value=value)
    return number


@dataclass(frozen=True)
class SystolicMurmur:
    """A murmur between S1 and S2; every attribute may be None (unknown)."""

    timing: SystolicTiming | None = None
    shape: Shape | None = None
    grade: SystolicGrade | None = None
    pitch: Pitch | None = None
    quality: Quality | None = None

    phase: ClassVar[str] = "systolic"
    kinds: ClassVar[dict[str, type[StrEnum]]] = {
        "timing": SystolicTiming, "shape": Shape, "grade": SystolicGrade, "pitch": Pitch, "quality": Quality,
    }  # fmt: skip

    def __post_init__(self):
        for name, kind in self.kinds.items():
            value = _choice(kind, getattr(self, name), f"{self.phase} {name}")
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class DiastolicMurmur(SystolicMurmur):
    """A murmur between S2 and the next S1; graded out of IV."""

    timing: DiastolicTiming | None = None
    grade: DiastolicGrade | None = None

    phase: ClassVar[str] = "diastolic"
    kinds: ClassVar[dict[str, type[StrEnum]]] = {
        **SystolicMurmur.kinds, "timing": DiastolicTiming, "grade": DiastolicGrade,
    }  # fmt: skip


@dataclass(frozen=True)
class ClinicalRecord:
    """What is known about a patient, and about the sound to be heard; None means unknown.

    Strings are accepted for every categorical field and turned into its enum.

    Attributes
    ----------
    age_years, height_cm, weight_kg, heart_rate : float or None
        Years, centimetres, kilograms and beats per minute.
    murmur_locations : tuple of Location
        Every site at which the murmur is heard.
    location : Location or None
        Where the stethoscope lies. A patient's row in CirCor has none; each of its recordings does.
    conditions : tuple of str
        Diagnoses by their identifier in the knowledge graph. CirCor releases none.

    Raises
    ------
    DataError
        For a value outside its vocabulary or range, or murmur attributes beside ``murmur="Absent"``.
    """

    age_group: AgeGroup | None = None
    age_years: float | None = None
    sex: Sex | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    pregnant: bool | None = None
    murmur: Murmur | None = None
    murmur_locations: tuple[Location, ...] = ()
    most_audible_location: Location | None = None
    systolic: SystolicMurmur | None = None
    diastolic: DiastolicMurmur | None = None
    heart_rate: float | None = None
    conditions: tuple[str, ...] = ()
    outcome: Outcome | None = None
    location: Location | None = None

    def __post_init__(self):
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name, kind in {
            "age_group": AgeGroup, "sex": Sex, "murmur": Murmur,
            "most_audible_location": Location, "outcome": Outcome, "location": Location,
        }.items():  # fmt: skip
            put(name, _choice(kind, getattr(self, name), name))
        for name in ("murmur_locations", "conditions"):
            if isinstance(value := getattr(self, name), str) or not isinstance(value, Iterable | None):
                raise DataError("a sequence of values", field=name, value=value)
            put(name, tuple(value or ()))
        for name, kind in {"systolic": SystolicMurmur, "diastolic": DiastolicMurmur}.items():
            if not isinstance(getattr(self, name), kind | None):
                raise DataError(f"a {kind.__name__} or None", field=name, value=getattr(self, name))
        if strangers := [name for name in self.conditions if name not in _conditions()]:
            known = "diagnoses of the knowledge graph: " + ", ".join(sorted(_conditions()))
            raise DataError(known, field="conditions", value=strangers[0])
        put("murmur_locations", tuple(_choice(Location, v, "murmur_locations") for v in self.murmur_locations))
        if self.pregnant not in (None, True, False):
            raise DataError("True, False or None", field="pregnant", value=self.pregnant)
        put("age_years", _within(self.age_years, 0, 120, "age_years", "years"))
        put("height_cm", _within(self.height_cm, 20, 250, "height_cm", "cm"))
        put("weight_kg", _within(self.weight_kg, 0.3, 400, "weight_kg", "kg"))
        put("heart_rate", _within(self.heart_rate, 20, 300, "heart_rate", "bpm"))
        if self.murmur == Murmur.ABSENT and (self.systolic or self.diastolic or self.murmur_locations):
            raise DataError("no murmur attributes beside murmur 'Absent'", field="murmur", value="Absent")

    def replace(self, **changes) -> ClinicalRecord:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def without_murmur(self) -> ClinicalRecord:
        """The same patient, in whom no murmur is heard anywhere."""
        return self.replace(
            murmur=Murmur.ABSENT, murmur_locations=(), most_audible_location=None, systolic=None, diastolic=None
        )

    def value_of(self, field: str) -> object:
        """A field by its flat name, such as ``"sex"``, ``"systolic grade"`` or ``"systolic.grade"``."""
        phase, _, attribute = field.replace(".", " ").partition(" ")
        value = getattr(self, phase)
        return getattr(value, attribute, None) if attribute else value

    @property
    def murmur_here(self) -> bool | None:
        """Whether a murmur is heard at `location`; None where that is unknown.

        A patient with a murmur may have sites at which nothing is heard: CirCor labels those through
        ``Murmur locations``. Without a `location` the patient's label stands.
        """
        if self.murmur in (None, Murmur.UNKNOWN):
            return None
        if self.murmur == Murmur.PRESENT and self.location and self.murmur_locations:
            return self.location in self.murmur_locations
        return self.murmur == Murmur.PRESENT


class State(IntEnum):
    """Labels of a CirCor segmentation table."""

    UNANNOTATED = 0
    S1 = 1
    SYSTOLE = 2
    S2 = 3
    DIASTOLE = 4


class Segment(NamedTuple):
    start: float  # s
    end: float  # s
    state: State


@dataclass(frozen=True)
class Recording:
    """One recording of one patient at one site.

    Attributes
    ----------
    waveform : ndarray (samples,), float32
        Full scale is 1.
    sampling_rate : int
        Hz.
    location : Location or None
    segments : tuple of Segment
        As annotated; may be empty, leave gaps, or overlap.
    record : ClinicalRecord
        The patient's record, with `location` set to this recording's.
    patient_id : str
    name : str
        The recording's name in its corpus, such as ``"9979_AV"``.
    """

    waveform: np.ndarray = field(repr=False)
    sampling_rate: int
    location: Location | None = None
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    record: ClinicalRecord = ClinicalRecord()
    patient_id: str = ""
    name: str = ""
    path: Path | None = field(default=None, repr=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.waveform) / self.sampling_rate

    @property
    def cycles(self) -> np.ndarray:
        """Complete annotated heartbeats.

        Returns
        -------
        ndarray (beats, 5), float64
            Onsets in seconds of S1, systole, S2 and diastole, then the end of the beat. A beat counts when
            its four states follow one another without a gap of more than 20 ms.
        """
        found = []
        rows = [s for s in self.segments if s.state != State.UNANNOTATED]
        for four in zip(rows, rows[1:], rows[2:], rows[3:], strict=False):
            in_order = [s.state for s in four] == [State.S1, State.SYSTOLE, State.S2, State.DIASTOLE]
            joined = all(abs(b.start - a.end) <= 0.02 for a, b in pairwise(four))
            if in_order and joined:
                found.append([s.start for s in four] + [four[-1].end])
        return np.array(found, dtype=np.float64).reshape(-1, 5)

    @property
    def annotated(self) -> np.ndarray:
        """The samples from the first complete beat to the end of the last; none without a beat."""
        beats = self.cycles
        if not len(beats):
            return self.waveform[:0]
        first, last = (round(t * self.sampling_rate) for t in (beats[0, 0], beats[-1, 4]))
        return self.waveform[first:last]

    @property
    def heart_rate(self) -> float | None:
        """Beats per minute from the median annotated beat; None without a complete beat."""
        beats = self.cycles
        return float(60 / np.median(beats[:, 4] - beats[:, 0])) if len(beats) else None

    def resample(self, sampling_rate: int) -> Recording:
        """The same recording at another rate (polyphase filter of scipy); times stay in seconds."""
        if sampling_rate == self.sampling_rate:
            return self
        from scipy.signal import resample_poly

        common = np.gcd(sampling_rate, self.sampling_rate)
        up, down = sampling_rate // common, self.sampling_rate // common
        waveform = resample_poly(self.waveform, up, down).astype(np.float32)
        return dataclasses.replace(self, waveform=waveform, sampling_rate=sampling_rate)
