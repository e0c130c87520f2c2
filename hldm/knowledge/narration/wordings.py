"""The sentences of the narrative: several frames per fact, several words per value.

The last two frames of every set are held out: `narrative` uses them only when asked to, to test what was trained on the
others.
"""

from __future__ import annotations

from hldm.data.records import Location, Murmur

HELD_OUT = 2  # frames at the end of every set

SITES = {
    Location.AV: (
        "aortic area", "aortic valve area", "right upper sternal border", "second right intercostal space",
    ),
    Location.PV: (
        "pulmonary area", "pulmonary valve area", "left upper sternal border", "second left intercostal space",
    ),
    Location.TV: (
        "tricuspid area", "tricuspid valve area", "left lower sternal border", "lower left sternal border",
    ),
    Location.MV: ("mitral area", "mitral valve area", "cardiac apex", "apex"),
    Location.PHC: ("unnamed additional site (Phc)", "additional site (Phc)"),
}  # fmt: skip
SHAPES = {
    "Crescendo": ("crescendo", "crescendo in shape", "of crescendo shape"),
    "Decrescendo": ("decrescendo", "decrescendo in shape", "of decrescendo shape", "fading"),
    "Diamond": ("diamond-shaped", "crescendo-decrescendo", "crescendo-decrescendo in shape", "of diamond shape"),
    "Plateau": ("plateau-shaped", "of constant loudness", "of constant loudness like a plateau", "of plateau shape"),
}
QUALITIES = {
    "Blowing": ("blowing", "blowing in quality", "of blowing quality", "of blowing character"),
    "Harsh": ("harsh", "harsh in quality", "coarse in quality", "rough", "of rasping character"),
    "Musical": ("musical", "musical in quality", "vibratory", "of musical character"),
}
TIMINGS = {
    "Early-systolic": ("early-systolic", "confined to early systole", "heard in early systole"),
    "Mid-systolic": ("mid-systolic", "confined to mid-systole", "heard in mid-systole"),
    "Late-systolic": ("late-systolic", "confined to late systole", "heard in late systole"),
    "Holosystolic": ("holosystolic", "pansystolic", "heard throughout systole"),
    "Early-diastolic": ("early-diastolic", "confined to early diastole", "heard in early diastole"),
    "Mid-diastolic": ("mid-diastolic", "confined to mid-diastole", "heard in mid-diastole"),
    "Holodiastolic": ("holodiastolic", "pandiastolic", "heard throughout diastole"),
}
GRADES = ("graded {grade}", "of grade {grade}", "of grade {figures}", "graded {step} out of {top}")
PITCHES = ("{pitch}-pitched", "of {pitch} pitch", "of {pitch} frequency")
SILENT = (" without a murmur", " with no heart murmur", " with no audible murmur", " and no murmur")
HERE = {
    True: (", where the murmur is heard", ", where the murmur is audible", ", where a murmur is heard"),
    False: (
        ", where no murmur is heard", ", where no murmur is audible", ", where the murmur is not heard",
        ", where the murmur is not audible",
    ),
    None: ("",),
}  # fmt: skip
RADIATES = ("radiates to {others}", "radiates towards {others}", "radiates into {others}")
STAYS = ("is not heard elsewhere", "does not radiate", "is heard nowhere else")

OPENING = ("{person}", "this is {person}", "the patient is {person}", "there is {person}", "this patient is {person}",
           "on record is {person}", "subject: {person}")  # fmt: skip
AGED = ("{age} {noun}", "{noun} aged {units}", "{noun} at the age of {units}", "{noun} of age {units}",
        "{noun} of {units}", "{noun} who is {units} old")  # fmt: skip
NOT_PREGNANT = ("no pregnancy is recorded", "pregnancy status: not pregnant", "the patient is not pregnant",
                "not pregnant", "there is no pregnancy", "not pregnant at present")  # fmt: skip
HEIGHT_AND_WEIGHT = (
    "the height is {height} cm and the weight is {weight} kg",
    "the patient is {height} cm tall and weighs {weight} kg",
    "height {height} cm, weight {weight} kg",
    "the weight is {weight} kg at a height of {height} cm",
    "height and weight: {height} cm and {weight} kg",
    "measured at {height} cm and {weight} kg",
    "a weight of {weight} kg and a height of {height} cm are on record",
)
HEIGHT = ("the height is {height} cm", "the patient is {height} cm tall", "height: {height} cm",
          "measured at {height} cm", "a height of {height} cm is on record")  # fmt: skip
WEIGHT = ("the weight is {weight} kg", "the patient weighs {weight} kg", "weight: {weight} kg",
          "with a weight of {weight} kg", "a weight of {weight} kg is on record")  # fmt: skip
HEART_RATE = (
    "the heart rate is {rate} beats per minute",
    "the heart beats at {rate} bpm",
    "heart rate: {rate} per minute",
    "a heart rate of {rate} bpm is on record",
    "the pulse rate is {rate} bpm",
    "there are {rate} beats per minute",
    "the pulse is {rate} per minute",
    "{rate} beats per minute is the heart rate",
)
STETHOSCOPE = (
    "the stethoscope lies on {site}{here}",
    "the sound is recorded at {site}{here}",
    "the stethoscope is placed at {site}{here}",
    "the sound was recorded over {site}{here}",
    "listening at {site}{here}",
    "the auscultation site is {site}{here}",
    "recorded at {site}{here}",
)
OUTCOME = (
    "the clinical outcome is {outcome}",
    "outcome after cardiac work-up: {outcome}",
    "clinical outcome: {outcome}",
    "the outcome of the work-up is {outcome}",
    "the work-up has the outcome: {outcome}",
    "overall the outcome was judged {outcome}",
    "the outcome is considered {outcome}",
)
DESCRIPTION = (
    "the {phase} murmur is {parts}",
    "on auscultation the {phase} murmur is {parts}",
    "auscultation finds a {phase} murmur that is {parts}",
    "there is a {phase} murmur, {parts}",
    "the {phase} murmur sounds {parts}",
    "{phase} murmur: {parts}",
    "the {phase} murmur is described as {parts}",
    "as to the {phase} murmur, it is {parts}",
)
LOUDEST = (
    "it is loudest at {site} and {tail}",
    "the murmur is most audible at {site} and {tail}",
    "the point of maximal intensity is {site}; the murmur {tail}",
    "it is best audible over {site} and {tail}",
    "heard best at {site}, the murmur {tail}",
    "best heard at {site}, it {tail}",
    "its maximum is at {site}, and it {tail}",
)
ONLY_LOUDEST = (
    "it is loudest at {site}",
    "the murmur is most audible at {site}",
    "the murmur is heard best at {site}",
    "the point of maximal intensity is {site}",
    "best heard at {site}",
    "its maximum is at {site}",
)
HEARD = ("the murmur is heard at {others}", "it is heard over {others}", "this murmur is heard at {others}",
         "a murmur is heard at {others}", "it is heard along {others}", "heard at {others}")  # fmt: skip
ABSENT = (
    "no murmur is heard at any site",
    "systole and diastole are silent, without a murmur",
    "there is no murmur",
    "no heart murmur is audible",
    "the heart sounds are free of murmurs",
    "auscultation finds no murmur",
    "a murmur is absent",
)
UNKNOWN = (
    "the recording is too poor to judge whether there is a murmur",
    "the murmur status is unknown",
    "the recording has poor quality",
    "the recording is uninterpretable",
    "the recording is of poor quality",
    "the murmur status is undetermined",
)
EXPLANATIONS = (
    "differential diagnosis: {names}. Recommended evaluation: {evaluation}",
    "the differential ranks {names}. The recommended evaluation is {evaluation}",
    "the differential includes {names}. As evaluation, {evaluation} comes next",
    "likely explanations are {names}. As evaluation, {evaluation} is recommended",
    "likely explanations: {names}. The recommended evaluation: {evaluation}",
)
NO_EXPLANATION = {
    None: "",
    Murmur.ABSENT: "No structural lesion is suggested, though a silent one is not excluded.",
    Murmur.UNKNOWN: "No differential diagnosis is possible; repeating the recording is recommended.",
    Murmur.PRESENT: "Without a description of the murmur no differential diagnosis is possible.",
}
