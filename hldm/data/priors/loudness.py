"""How loud a murmur is: the number that stands between a grade, which is a word, and a sound.

A grade is an ordered word for loudness (Levine's scale), and in CirCor a loose one: in the clips of `train`, systole
stands 4.3 dB over diastole at grade I, 4.7 dB at II and 13.8 dB at III (medians, 100 to 400 Hz). A model that learns
from the word alone hardly learns to turn a murmur up. So the fusion is told the level itself: measured in training
(`hldm.training.beat.murmur_level`), and drawn here from the grade when a sound is asked for, as a heart rate is drawn
from an age group. Grades keep the distances that the simulator was calibrated to on the same recordings, and a seed
keeps its place among the murmurs of a grade: the next grade is louder, whatever the seed.
"""

from __future__ import annotations

import numpy as np

from hldm.data.priors.constants import attribute, constant, stream
from hldm.data.records import ClinicalRecord, SystolicGrade, SystolicMurmur

# Murmur over the diastolic background at grade III, dB. With the background below it, 13.6 would give the 13.8 of
# `train`; at 3 dB more the judge hears generated murmurs of every grade about as often as real ones of `val`.
TYPICAL_DB = 16.6
SPREAD_DB = 3.0  # among murmurs of a grade; half of the calibrated one, so that a word keeps its meaning
FARTHEST = 1.5  # spreads from the typical


def grade_level(murmur: SystolicMurmur) -> float:
    """Typical level of a grade in dB over S1.

    Grades that no recording has (IV and louder, diastolic ones) keep their tabulated distance to grade III.
    """

    def tabulated(phase: str, grade: str) -> float:
        row = attribute(f"{phase} murmur grading", grade)
        return float(row["rms_level_db_vs_s1"].split()[0])

    loudest = SystolicGrade.III
    correction = constant("murmur_level_db", loudest) - tabulated("Systolic", loudest)
    otherwise = tabulated(murmur.phase.capitalize(), murmur.grade) + correction
    return constant("murmur_level_db", murmur.grade, otherwise)


def attenuation(record: ClinicalRecord) -> float:
    """Decibels lost between the loudest site and the record's; -inf where its murmur is not heard."""
    if not record.murmur_here:
        return -np.inf
    loudest = record.location == record.most_audible_location
    return 0.0 if loudest else constant("murmur_elsewhere_db", "all", otherwise=0.0)


def murmur_level(record: ClinicalRecord, seed: int) -> float:
    """Level of systole over diastole that a systolic murmur of this grade has, dB, 100 to 400 Hz.

    Parameters
    ----------
    record : ClinicalRecord
    seed : int
        Its place among the murmurs of a grade.

    Returns
    -------
    float
        NaN where no systolic murmur is heard at the record's site, or its grade is open.
    """
    if record.systolic is None or record.systolic.grade is None or not record.murmur_here:
        return np.nan
    place = np.clip(stream(seed, "murmur level").normal(), -FARTHEST, FARTHEST)
    loudest = grade_level(SystolicMurmur(grade=SystolicGrade.III))
    level = TYPICAL_DB + grade_level(record.systolic) - loudest + attenuation(record) + SPREAD_DB * place
    return float(10 * np.log10(1 + 10 ** (level / 10)))
