"""Words of the clinic and what they mean in a record: a table of patterns for the prompt reader.

Order matters: a pattern consumes what it matches, so longer and more specific ones stand first. Patterns meet text
that `spelling.respell` has evened out: shorthand is spelled out and numbers are figures.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from hldm.data.records import Murmur, Pitch, Quality, Shape
from hldm.data.tables import read_table
from hldm.knowledge.graph import knowledge_graph
from hldm.knowledge.prompt.people import person_patterns
from hldm.knowledge.prompt.places import place_patterns
from hldm.knowledge.tables import rows, words

ROMAN = ("I", "II", "III", "IV", "V", "VI")
_STEP = r"(?:[IVX]+|\d+)"


class Rule(NamedTuple):
    """What a pattern means.

    Attributes
    ----------
    pattern : re.Pattern
    field : str
        A record's field, ``phase.attribute``, or one of the reader's own words (``age``, ``grade``, ``finding``).
    value : object
        The value, or a function of the match.
    """

    pattern: re.Pattern
    field: str
    value: Any


def step(text: str) -> int:
    """A grade in Roman or Arabic figures."""
    if text.isdigit():
        return int(text[:4])  # no scale is longer
    letters = [{"I": 1, "V": 5, "X": 10}[c] for c in text.upper()]
    return sum(-a if a < b else a for a, b in zip(letters, [*letters[1:], 0], strict=True))


def _grade(match: re.Match) -> tuple[int, int | None]:
    scale = match.groupdict().get("scale")
    return step(match["step"]), step(scale) if scale else None


def _timing(phase: str, stem: str) -> list[tuple[str, str, str]]:
    """Patterns of when in systole or diastole a murmur is heard, adjective and noun alike."""
    noun, inside = f"{stem}stole", "(?:confined to |in |during )?"
    when = {
        f"Holo{phase}": rf"(?:holo|pan)[- ]?{phase}|(?:(?:all )?through(?:out)?|all|fill(?:s|ing)|during all)"
        rf"(?: all| of| the| whole| entire)* {noun}",
        f"Early-{phase}": rf"(?:early|proto)[- ]?{phase}|{inside}early[- ]{noun}",
        f"Mid-{phase}": rf"(?:mid|meso)[- ]?{phase}|{inside}mid[- ]?{noun}",
        f"Late-{phase}": rf"(?:late|tele)[- ]?{phase}|{inside}late[- ]{noun}",
    }
    return [(pattern, f"{phase}.timing", value) for value, pattern in when.items() if value != "Late-diastolic"]


def _conditions() -> list[tuple[str, str, str]]:
    """Names of the 17 conditions: as in the table, then as spoken."""
    rows = read_table("conditions").to_dict("records")
    named = {re.escape(re.sub(r" \(.*\)", "", row["preferred_term"])): row["id"] for row in rows}
    hole = "hole between (?:the|her|his)"
    spoken = {
        rf"ventric\w+ septal defect|VSD|{hole} (?:2 )?(?:lower (?:heart )?chambers|ventricles)": "vsd",
        rf"atrial septal defect|ASD|{hole} (?:2 )?(?:upper (?:heart )?chambers|atria)": "asd",
        r"(?:patent|persistent|open) (?:ductus(?: arteriosus)?|arterial duct)|PDA": "pda",
        r"(?:aortic )?coarctation(?: of (?:the )?aorta)?|CoA": "coarctation",
        r"hypertrophic (?:obstructive )?cardiomyopathy|HO?CM": "hocm",
        r"(?:tetralogy of )?fallot(?:'s tetralogy)?|TOF": "tof",
        r"mitral(?: valve)? prolapse|MVP": "mvp",
        r"(?:innocent )?still'?s(?: murmur)?|innocent (?:heart |systolic )?murmur": "innocent_still",
        r"(?:innocent )?pulmonary flow murmur": "innocent_pulm_flow",
        r"ebstein(?:'s)?(?: anomaly)?": "tricuspid_regurgitation",
        r"normal heart(?: sounds?)?|heart sounds?(?: is| are)? normal": "normal",
    }
    valves = {"A": "aortic", "P": "pulmon(?:ary|ic)", "M": "mitral", "T": "tricuspid"}
    faults = {"stenosis": ("S", "narrow(?:ed)?"), "regurgitation": ("R", "leak(?:y|ing)")}
    for (initial, valve), (fault, (letter, lay)) in ((v, f) for v in valves.items() for f in faults.items()):
        if initial + letter == "TS":  # tricuspid stenosis is none of the 17
            continue
        also = "|insufficiency|incompetence|leak(?:age)?" if fault == "regurgitation" else ""
        stem = "pulmonary" if initial == "P" else valve
        pattern = rf"{valve}(?: valve)? (?:{fault}{also})|{lay} {valve} valve|(?-i:{initial}{letter})"  # "as" is a word
        spoken[pattern] = f"{stem}_{fault}"
    return [(pattern, "conditions", condition) for pattern, condition in (named | spoken).items()]


def _findings() -> list[tuple[str, str, Any]]:
    """Sounds beside the murmur; no field of a record holds them."""
    names = [n for n, kind in knowledge_graph().nodes(data="kind") if kind == "finding"]
    fixed = "(?:wide(?:ly)?,? (?:and )?)?fixed(?:ly)?"
    split = "split(?:ting)?(?: of)?(?: the)?"
    spoken = {
        rf"{fixed} {split}(?: S2)?|wide(?:ly)? {split} S2|S2 (?:is )?(?:{fixed}|widely) split(?: and fixed)?":
            "wide fixed split S2",
        rf"(?:reversed|paradoxical(?:ly)?) {split} S2|S2(?: is)? paradoxically split": "reversed split S2",
        "S2(?: is)? (?:not split|single)": "single S2",
        "palpable thrill": "systolic thrill",
        "(?:S4|atrial) gallop": "S4",
        "(?:S3|ventricular) gallop": "S3",
        "MSC|mid-?systolic clicks?": "mid-systolic click",
        "(?:pericardial )?friction rub": "pericardial friction rub",
        "S1 S2(?: are)? normal|normal S1(?:,| and)? (?:normal )?S2": "normal S2",
    }  # fmt: skip
    ours = {re.escape(name): name for name in sorted(names, key=len, reverse=True)}
    bare = {
        "gallops?": "S3", "thrills?": "systolic thrill", "rubs?": "pericardial friction rub", "clicks?": "click",
        "S1 S2": "normal S2", "(?:added|extra|other) (?:heart )?sounds?": "added sounds",
        "(?:normal )?sinus rhythm|regular (?:rate and )?rhythm|(?:rhythm (?:is )?)?regular|RRR|NSR": "regular rhythm",
    }  # fmt: skip
    return [(pattern, "finding", name) for pattern, name in (spoken | ours | bare).items()]


def _status() -> list[tuple[str, str, Any]]:
    """What is said of the murmur as a whole, other than by denying it."""
    noun = r"(?:murmurs?|bruits?)"
    unsure = r"(?:unknown|undetermined|unclear|uncertain|indeterminate|not (?:known|determined|assessable))"
    cannot = r"(?:cannot|can not|could not)"
    return [
        (r"where (?:no|the|a) murmur is (?:not )?(?:heard|audible)", "remark", None),
        (r"whether there is a murmur is not recorded", "murmur_unsaid", True),
        (r"systole and diastole are (?:silent|clear)|(?:S1 S2|I ?\+ ?II) ?\+ ?0", "murmur", Murmur.ABSENT),
        (r"too (?:poor|noisy) to judge whether there is a murmur|poor(?: recording)? quality|uninterpretable"
         rf"|{noun}(?: status)?(?: of this patient)?(?: is|:)? {unsure}|{unsure} {noun}|{noun} ?\?"
         rf"|{noun} {cannot} be (?:determined|judged|assessed|excluded)(?: because of noise)?"
         rf"|{cannot} (?:exclude|rule out|judge|assess)(?: an?| any)? {noun}", "murmur", Murmur.UNKNOWN),
    ]  # fmt: skip


#: How loud a murmur is in words, as a step of a grade: Levine calls III moderately loud, II quiet, I barely audible.
LOUDNESS = {
    "(?:very|extremely) (?:loud|intense)": 4, "(?:moderately |quite |rather )?(?:loud|prominent)": 3,
    "(?:very|extremely) (?:soft|quiet|faint)": 1, "(?:quite |rather )?(?:soft|quiet|gentle)": 2,
    "faint|(?:barely|hardly|scarcely|just) audible": 1,
}  # fmt: skip


def _murmur() -> list[tuple[str, str, Any]]:
    """When and how a murmur sounds."""
    grade = (
        r"(?:(?:(?:raise|increase|lower|reduce|set|change) (?:the )?)?grad(?:e[sd]?|ing)?|loudness|intensity|levine)"
        rf"(?: (?:is|of|at|as|a|grade|to))*[:\s]*(?P<step>{_STEP})"
    )
    over = r"(?:\s*(?:/|out of|of|over)\s*)"
    scale = rf"{over}(?P<scale>VI|IV|6|4)\b"
    until = rf"\s*(?:-|to|or)\s*{_STEP}"
    before = r"(?<!as )(?:{})(?=,? (?:(?!\b(?:heart|with|without|no|not|in|at|of|but)\b)[^.;:]){{0,60}}?\b(?:murmur|bruit|[SHPLE][SED]M))"
    after = r"(?<=murmur is )(?:{0})|(?<=murmur was )(?:{0})|(?<=murmur, )(?:{0})"
    return [
        *[(f"{before.format(word)}|{after.format(word)}", "loudness", (grade_, None))
          for word, grade_ in LOUDNESS.items()],
        (r"(?:early|mid)(?:[- ]?(?:to|or)[- ]?|-)(?:mid|late)(?=[- ](?:systolic|diastolic))", "range", "timing"),
        *_timing("systolic", "sy"), *_timing("diastolic", "dia"),
        (r"SEM|ESM|(?:systolic ejection|ejection systolic)(?: murmur)?|ejection(?= murmur)", "systolic.timing",
         "Mid-systolic"),
        (r"HSM|PSM", "systolic.timing", "Holosystolic"),
        (r"LSM", "systolic.timing", "Late-systolic"),
        (r"EDM", "diastolic.timing", "Early-diastolic"),
        (r"MDM", "diastolic.timing", "Mid-diastolic"),
        (r"continuous(?:,? machinery(?:-like)?)?|machinery(?:-like)?(?= murmur)", "phase", "continuous"),
        (r"to[- ]and[- ]fro", "phase", "both"),  # codespell:ignore fro
        (r"systolic(?! (?:pressure|bp))|systole", "phase", "systolic"),
        (r"diastolic(?! (?:pressure|bp))|diastole", "phase", "diastolic"),
        (rf"{grade}{until}(?:{over}(?:VI|IV|6|4))?|\b{_STEP}{until}{over}(?:VI|IV|6|4)".replace("?P<step>", "?:"),
         "range", "grade"),
        (grade + scale, "grade", _grade),
        (rf"\b(?P<step>{_STEP}){scale}", "grade", _grade),
        (grade + r"\b", "grade", _grade),
        (r"crescendo[- /]decrescendo(?: in shape)?|(?:diamond|spindle|kite)(?:[- ]shaped)?"
         r"|(?:increasing|rising|waxing|growing)(?:,? and| then| and then)?[- ](?:decreasing|falling|waning|fading)",
         "shape", Shape.DIAMOND),
        (r"(?:of )?decrescendo(?: in)?(?: shape)?"
         r"|(?:fading|tapering|decreasing|diminishing|dying)(?: away| off)?(?: towards? S2)?", "shape",
         Shape.DECRESCENDO),
        (r"crescendo(?: in shape)?|(?:grow|get)(?:s|ing) louder|(?:increasing|rising)(?: in intensity)?", "shape",
         Shape.CRESCENDO),
        (r"(?:of )?(?:constant|even|steady|uniform)(?: in)? (?:loudness|intensity)(?: like a plateau)?"
         r"|(?:like a )?plateau(?:[- ]shaped)?|(?:flat )?band[- ]shaped|flat", "shape", Shape.PLATEAU),
        *[(rf"(?:of )?{word}[- ](?:pitch(?:ed)?|frequency)|pitch(?: is|:)? {word}", "pitch", pitch)
          for word, pitch in {"low": Pitch.LOW, "(?:medium|mid|moderate)": Pitch.MEDIUM, "high": Pitch.HIGH}.items()],
        *[(rf"(?<=, ){pitch}(?=,|\.|$)", "pitch", pitch) for pitch in Pitch],
        (r"rumbl(?:e|ing)", "pitch", Pitch.LOW),
        (r"(?:swoosh|whoosh|swish)(?:ing|es)?(?: (?:noise|sound))?", "murmur_named", True),
        (r"(?:harsh|coarse|rough|rasping|grating)(?: in quality)?", "quality", Quality.HARSH),
        (r"(?:blowing|breath-like|breathy)(?: in quality)?", "quality", Quality.BLOWING),
        (r"(?:musical|vibratory|twanging|cooing|squeaky|honking|whistling|humming)(?: in quality)?", "quality",
         Quality.MUSICAL),
    ]  # fmt: skip


#: Sentences that rank explanations or advise; they state no fact about the patient.
ADVICE = re.compile(
    r"\s*(?:(?:the )?differential|likely explanations|(?:the )?recommended evaluation|as evaluation|no differential"
    r"|without a description|no structural lesion|rule out|consider)\b",
    re.I,
)


@cache
def rules() -> tuple[Rule, ...]:
    """The whole table, compiled once."""
    named = ("murmurs?|bruits?", "murmur_named", True)  # the last word: other patterns look out for it
    table = [*_conditions(), *_status(), *_findings(), *place_patterns(), *_murmur(), *person_patterns(), named]
    return tuple(Rule(re.compile(rf"(?<!\w)(?:{p})(?!\w)", re.I), f, v) for p, f, v in table)


@cache
def lexicon() -> frozenset[str]:
    """Words that a near miss is taken for."""
    return words("lexicon") | words("filler")


@cache
def standing() -> frozenset[str]:
    """Words that are right as they stand: whatever a rule is made of, and a few that only look like one of ours."""
    patterns = [rule.pattern.pattern for rule in rules()] + [row["pattern"] for row in rows("triggers")]
    literals = re.findall(r"(?<![a-z)\]])[a-z]{4,}(?![a-z(\[?])", " ".join(patterns).lower())
    return frozenset(literals) | words("standing")
