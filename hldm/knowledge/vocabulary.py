"""Words of the clinic and what they mean in a record: a table of patterns for the prompt reader.

Order matters: a pattern consumes what it matches, so longer and more specific ones stand first.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from hldm.data.records import AgeGroup, Location, Murmur, Outcome, Pitch, Quality, Sex, Shape
from hldm.data.tables import read_table
from hldm.knowledge.graph import knowledge_graph

SITES = {
    Location.AV: r"aortic(?: valve)?(?: area| site| position| region| point| location)?|AV(?: area| site)?|A(?=\s+area)"
    r"|RUSB|R?2nd RICS|right upper sternal (?:border|edge)|upper right sternal (?:border|edge)"
    r"|(?:second|2nd) right intercostal space|right second intercostal space",
    Location.PV: r"pulmon(?:ary|ic)(?: valve)?(?: area| site| position| region| point| location)?|PV(?: area| site)?"
    r"|LUSB|ULSB|left upper sternal (?:border|edge)|upper left sternal (?:border|edge)"
    r"|(?:second|2nd) left intercostal space|left second intercostal space",
    Location.TV: r"tricuspid(?: valve)?(?: area| site| position| region| point| location)?|TV(?: area| site)?"
    r"|LLSB|LLSE|left lower sternal (?:border|edge)|lower left sternal (?:border|edge)",
    Location.MV: r"mitral(?: valve)?(?: area| site| position| region| point| location)?|MV(?: area| site)?"
    r"|(?:cardiac |heart )?apex|apical(?: area| region)?|fifth left intercostal space",
    Location.PHC: r"(?:unnamed )?additional site|(?:other|another) site \(?Phc\)?|Phc",
}
SITE = rf"(?:the )?(?:{'|'.join(SITES.values())})\b(?: \(Phc\))?"
ELSEWHERE = r"(?:the )?(?:left |right )?(?:axillae?|carotids?|neck|back|clavicle|infraclavicular area|sternal border)"
SITE_LIST = rf"{SITE}(?:(?:,? and |, |/|\s?\+\s?| & )(?:the )?{SITE})*"
ANY_SITE_LIST = rf"(?:{SITE}|{ELSEWHERE})(?:(?:,? and |, |/|\s?\+\s?| & )(?:{SITE}|{ELSEWHERE}))*"

ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""".split()  # noqa: SIM905
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORD = rf"(?:(?:{'|'.join(TENS)})(?:[- ](?:{'|'.join(ONES[1:10])}))?|{'|'.join(reversed(ONES))})"
NUMBER = rf"(?:\d+(?:\.\d+)?|{NUMBER_WORD})"
ROMAN = ("I", "II", "III", "IV", "V", "VI")
STEP = rf"(?:[IVX]+|\d+|{NUMBER_WORD})"
UNIT = r"(days?|weeks?|wks?|months?|mos?|mths?|years?|yrs?|y|d)"


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


def number(text: str) -> float:
    """A number in digits or English words, zero to ninety-nine."""
    if text[0].isdigit():
        return float(text)
    words = re.split(r"[- ]", text.lower())
    return float(sum(20 + 10 * TENS.index(w) if w in TENS else ONES.index(w) for w in words))


def step(text: str) -> int:
    """A grade in Roman or Arabic figures or words; 0 where it is no such number."""
    if re.fullmatch(r"[IVX]+", text, re.I):
        letters = [{"I": 1, "V": 5, "X": 10}[c] for c in text.upper()]
        return sum(-a if a < b else a for a, b in zip(letters, [*letters[1:], 0], strict=True))
    return int(number(text))


def sites(text: str) -> tuple[Location, ...]:
    """Every site named in a list, in its order."""
    found = [
        (m.start(), site) for site, pattern in SITES.items() for m in re.finditer(rf"\b(?:{pattern})\b", text, re.I)
    ]
    return tuple(site for _, site in sorted(found))


def _age(match: re.Match) -> tuple[float, str]:
    unit = (match.group(2) or "year").lower()
    return number(match.group(1)), {"d": "day", "w": "week", "m": "month", "y": "year"}[unit[0]]


def _grade(match: re.Match) -> tuple[int, int | None]:
    scale = match.groupdict().get("scale")
    return step(match["step"]), step(scale) if scale else None


def _timing(phase: str, stem: str) -> list[tuple[str, str, str]]:
    """Patterns of when in systole or diastole a murmur is heard, adjective and noun alike."""
    noun = f"{stem}stole"
    when = {
        f"Holo{phase}": rf"(?:holo|pan)[- ]?{phase}|(?:throughout|all through|fill(?:s|ing)) (?:all of )?{noun}",
        f"Early-{phase}": rf"(?:early|proto)[- ]?{phase}|(?:confined to |in |during )?early[- ]{noun}",
        f"Mid-{phase}": rf"mid[- ]?{phase}|(?:confined to |in |during )?mid[- ]?{noun}",
        f"Late-{phase}": rf"late[- ]?{phase}|(?:confined to |in |during )?late[- ]{noun}",
    }
    return [(pattern, f"{phase}.timing", value) for value, pattern in when.items()]


def _shorthand() -> list[tuple[str, str, Any]]:
    """Abbreviated murmurs, each a timing."""
    named = {
        r"SEM|ESM|(?:systolic ejection|ejection systolic)(?: murmur)?|ejection(?: murmur)": (
            "systolic",
            "Mid-systolic",
        ),
        r"HSM|PSM": ("systolic", "Holosystolic"),
        r"LSM": ("systolic", "Late-systolic"),
        r"EDM": ("diastolic", "Early-diastolic"),
        r"MDM": ("diastolic", "Mid-diastolic"),
    }
    return [(pattern, f"{phase}.timing", timing) for pattern, (phase, timing) in named.items()]


def _conditions() -> list[tuple[str, str, str]]:
    """Names of the 17 conditions: as in the table, then as spoken."""
    named = {}
    for row in read_table("conditions").to_dict("records"):
        named[re.escape(re.sub(r" \(.*\)", "", row["preferred_term"]))] = row["id"]
    spoken = {
        r"ventric\w+ septal defect|VSD": "vsd",
        r"atrial septal defect|ASD": "asd",
        r"(?:patent|persistent) ductus(?: arteriosus)?|PDA": "pda",
        r"coarctation(?: of the aorta)?": "coarctation",
        r"hypertrophic (?:obstructive )?cardiomyopathy|HOCM|HCM": "hocm",
        r"(?:tetralogy of )?fallot(?:'s tetralogy)?|TOF": "tof",
        r"mitral(?: valve)? prolapse|MVP": "mvp",
        r"(?:innocent )?still'?s murmur|innocent (?:heart |systolic )?murmur": "innocent_still",
        r"ebstein(?:'s)?(?: anomaly)?": "tricuspid_regurgitation",
        r"normal heart sounds?|normal heart": "normal",
    }
    for valve, stem in {"aortic": "aortic", "mitral": "mitral", r"pulmon(?:ary|ic)": "pulmonary"}.items():
        spoken[rf"{valve}(?: valve)? stenosis"] = f"{stem}_stenosis"
    valves = {"aortic": "aortic", "mitral": "mitral", r"pulmon(?:ary|ic)": "pulmonary", "tricuspid": "tricuspid"}
    for valve, stem in valves.items():
        spoken[rf"{valve}(?: valve)? (?:regurgitation|insufficiency|incompetence|leak)"] = f"{stem}_regurgitation"
    initials = {"A": "aortic", "P": "pulmonary", "M": "mitral", "T": "tricuspid"}
    faults = {"S": "stenosis", "R": "regurgitation"}
    capitals = {a + b: f"{valve}_{fault}" for a, valve in initials.items() for b, fault in faults.items()}
    del capitals["TS"]  # tricuspid stenosis is none of the 17
    spoken |= {rf"(?-i:{letters})": condition for letters, condition in capitals.items()}  # "as" is a word
    return [(pattern, "conditions", condition) for pattern, condition in (named | spoken).items()]


def _findings() -> list[tuple[str, str, str]]:
    names = [n for n, kind in knowledge_graph().nodes(data="kind") if kind == "finding"]
    ours = [(re.escape(name), "finding", name) for name in sorted(names, key=len, reverse=True)]
    more = {
        r"wide(?:ly)?,? (?:and )?fixed split(?:ting)?(?: of)?(?: S2)?": "wide fixed split S2",
        r"thrill": "systolic thrill",
        r"gallop": "S3",
        r"normal S1(?:,| and|/)? ?(?:normal )?S2": "normal S2",
    }
    return ours + [(pattern, "finding", name) for pattern, name in more.items()]


def _patient() -> list[tuple[str, str, Any]]:
    def kilo(m):
        return number(m.group(1))

    return [
        (rf"\b({NUMBER})[\s-]*{UNIT}[\s/.-]*o(?:ld)?\b\.?", "age", _age),
        (rf"\baged?[:\s]+(?:about )?({NUMBER})[\s-]*{UNIT}?\b", "age", _age),
        (rf"\b({NUMBER})[\s-]*(years?|yrs?|months?|mos?|weeks?|days?|y)(?=\b|[MF]\b)", "age", _age),
        (r"age group:? (neonate|infant|child|adolescent|young adult)", "age_class",
         lambda m: AgeGroup(m.group(1).capitalize())),
        (r"neonat(?:e|al)|newborn", "age_group", AgeGroup.NEONATE),
        (r"infants?|bab(?:y|ies)", "age_group", AgeGroup.INFANT),
        (r"child|toddler|schoolchild", "age_group", AgeGroup.CHILD),
        (r"adolescents?|teen(?:ager|aged?)?", "age_group", AgeGroup.ADOLESCENT),
        (r"(?:young )?adult", "age_group", AgeGroup.YOUNG_ADULT),
        (r"females?|girls?|wom[ae]n|lady|she|her", "sex", Sex.FEMALE),
        (r"males?|boys?|m[ae]n|gentleman|he|his", "sex", Sex.MALE),
        (r"(?-i:F)", "sex", Sex.FEMALE),
        (r"(?-i:M)", "sex", Sex.MALE),
        (r"pregnancy status:? not pregnant|no pregnancy(?: is recorded)?|(?:not|non)[- ]?pregnant", "pregnant", False),
        (r"pregnan(?:t|cy)|gravid", "pregnant", True),
        (rf"(?:height(?: is|:)? |measured at )?({NUMBER}) ?(?:cm|centimet\w+)(?: tall)?", "height_cm", kilo),
        (rf"(?:weigh(?:s|t|ing)(?: is|:)? )?({NUMBER}) ?(?:kgs?|kilograms?|kilos)", "weight_kg", kilo),
        (rf"(?:heart rate|HR|pulse(?: rate)?|heart beats|rate)(?: is| of| at|:|=)*\s*({NUMBER})\b"
         r"(?: ?(?:bpm|beats per minute|per minute|/ ?min(?:ute)?))?", "heart_rate", kilo),
        (rf"({NUMBER}) ?(?:bpm|beats(?: per |/| a )min(?:ute)?|/ ?min(?:ute)?)", "heart_rate", kilo),
        (r"outcome[^.]{0,40}?\babnormal|abnormal outcome", "outcome", Outcome.ABNORMAL),
        (r"outcome[^.]{0,40}?\bnormal|normal outcome|healthy", "outcome", Outcome.NORMAL),
    ]  # fmt: skip


def _murmur() -> list[tuple[str, str, Any]]:
    kind = r"(?:(?:heart|cardiac|audible|detectable|other)\s+)*"
    grade = rf"(?:grade[sd]?|gr\.?|loudness|intensity)(?: (?:is|of|at|a))*[:\s]*(?P<step>{STEP})"
    scale = r"\s*(?:/|out of|of|over)\s*(?P<scale>VI|IV|6|4|six|four)\b"
    return [
        (r"systole and diastole are silent", "murmur", Murmur.ABSENT),
        (rf"\b(?:no|without(?: an?| any)?) {kind}systolic (?:or|nor) diastolic murmurs?", "murmur", Murmur.ABSENT),
        (r"\b(?:no|without(?: an?| any)?) systolic murmurs?", "silent", "systolic"),
        (r"\b(?:no|without(?: an?| any)?) diastolic murmurs?", "silent", "diastolic"),
        (r"whether there is a murmur is not recorded", "murmur_unsaid", True),
        (r"too poor to judge whether there is a murmur|murmur (?:status )?(?:is )?(?:unknown|undetermined)"
         r"|poor(?: recording)? quality|uninterpretable", "murmur", Murmur.UNKNOWN),
        (rf"\b(?:no|without(?: an?| any)?|free of(?: any)?|absence of(?: an?| any)?) {kind}murmurs?", "murmur",
         Murmur.ABSENT),
        (r"murmur[- ]free|murmurs?(?: is| are|:| =)* ?(?:absent|none|not (?:heard|present|audible|detected))",
         "murmur", Murmur.ABSENT),
        *_timing("systolic", "sy"), *_timing("diastolic", "dia"), *_shorthand(),
        (r"systolic(?! (?:pressure|bp))|systole", "phase", "systolic"),
        (r"diastolic(?! (?:pressure|bp))|diastole", "phase", "diastolic"),
        (rf"{grade}\s*(?:-|to|or)\s*{STEP}{scale.replace('?P<scale>', '?:')}", "grade_range", None),
        (rf"\b{STEP}\s*(?:-|to)\s*{STEP}{scale.replace('?P<scale>', '?:')}", "grade_range", None),
        (grade + scale, "grade", _grade),
        (rf"\b(?P<step>{STEP}){scale}", "grade", _grade),
        (grade + r"\b", "grade", _grade),
        (r"crescendo[- ]decrescendo(?: in shape)?|diamond(?:[- ]shaped)?", "shape", Shape.DIAMOND),
        (r"(?:of )?decrescendo(?: in)?(?: shape)?|fading", "shape", Shape.DECRESCENDO),
        (r"crescendo(?: in shape)?", "shape", Shape.CRESCENDO),
        (r"of constant loudness|(?:like a )?plateau(?:[- ]shaped)?", "shape", Shape.PLATEAU),
        *[(rf"(?:of )?{word}[- ](?:pitch(?:ed)?|frequency)|pitch(?: is|:)? {word}", "pitch", pitch)
          for word, pitch in {"low": Pitch.LOW, "(?:medium|mid|moderate)": Pitch.MEDIUM, "high": Pitch.HIGH}.items()],
        *[(rf"(?<=, ){pitch}(?=,|\.|$)", "pitch", pitch) for pitch in Pitch],
        (r"(?:harsh|coarse|rough|rasping)(?: in quality)?", "quality", Quality.HARSH),
        (r"blowing(?: in quality)?", "quality", Quality.BLOWING),
        (r"(?:musical|vibratory|twanging)(?: in quality)?", "quality", Quality.MUSICAL),
    ]  # fmt: skip


def _places() -> list[tuple[str, str, Any]]:
    def listed(m: re.Match) -> tuple[Location, ...]:
        return sites(m.group(1))

    best = "loudest|most audible|best (?:heard|audible)|heard best|max(?:imal|imum)?|point of maximal intensity"
    recorded = "(?:sound |recording )?(?:is |was )?record(?:ed|ing)"
    listening = f"(?:the )?(?:stethoscope|auscultation site|listening|auscultated|{recorded})"
    everywhere = "(?:sites?|locations?|areas?|valves?)"
    return [
        (r"where (?:no|the|a) murmur is (?:not )?(?:heard|audible)", "remark", None),
        (rf"{listening}(?: lies| is| was| placed| site)*:?(?: on| at| over| from| in)? ({SITE})", "location",
         lambda m: sites(m.group(1))[0]),
        (rf"(?:{best})(?: is)?(?: at| over| in| on| along|:)? ({SITE})", "most_audible_location",
         lambda m: sites(m.group(1))[0]),
        (rf"radiat\w*(?: widely)? (?:in)?to(?:wards?)? ({ANY_SITE_LIST})", "radiation", listed),
        (r"(?:is )?not heard elsewhere|heard nowhere else|does not radiate|(?:without|no) radiation", "sole", True),
        (rf"(?:at|over) (?:all(?: four)?|every|each) {everywhere}|(?:throughout|across) the precordium",
         "murmur_locations", (Location.AV, Location.MV, Location.PV, Location.TV)),
        (rf"heard (?:only )?(?:at|over|in|on|along) ({SITE_LIST})", "murmur_locations", listed),
        (rf"(?:(?:at|over|in|on|along) )?({SITE_LIST})", "place", listed),
    ]  # fmt: skip


#: Sentences that rank explanations or advise; they state no fact about the patient.
ADVICE = re.compile(
    r"\s*(?:(?:the )?differential|likely explanations|(?:the )?recommended evaluation|as evaluation|no differential"
    r"|without a description|no structural lesion|rule out|consider)\b",
    re.I,
)
#: Before a diagnosis, a finding or an attribute: it is not stated as a fact.
NEGATED = re.compile(r"(?:\bno|\bnot|\bwithout|\bnon|\bnever|\bexcluded?)(?: an?| any| evidence of)?[\s-]*$", re.I)
DOUBTED = re.compile(r"(?:\?|\b(?:suspected|possible|probable|likely|rule out|r/o|consider|query|vs\.?))\s*$", re.I)
FILLER = frozenset(
    """
    a an the and or with of at on in is are was to for from it its this that has have there patient subject
    person who where as by be old known diagnosis diagnoses heard audible murmur murmurs present status sound
    sounds heart sited site s recording recorded lies stethoscope clinical overall judged after cardiac work-up
    work up outcome measured height weight weighs tall cm kg rate beats per minute bpm pulse any auscultation
    finds detail unrecorded age aged group years only also then some very please generate make give me us
    sounding described quality character shape pitch pitched graded grade best over along area which but
    radiating radiation recordings 's
    """.split()  # noqa: SIM905
)


@cache
def rules() -> tuple[Rule, ...]:
    """The whole table, compiled once."""
    table = [*_conditions(), *_findings(), *_places(), *_murmur(), *_patient()]
    return tuple(Rule(re.compile(rf"(?<!\w)(?:{p})(?!\w)", re.I), f, v) for p, f, v in table)


@cache
def lexicon() -> frozenset[str]:
    """Words long enough that a near miss is a typing error."""
    words = (
        "holosystolic pansystolic systolic diastolic early-systolic mid-systolic murmur crescendo decrescendo diamond "
        "plateau harsh blowing musical pitched female infant adolescent neonate newborn pregnant mitral aortic "
        "tricuspid pulmonary radiates radiating loudest stethoscope abnormal normal stenosis regurgitation "
        "ventricular septal defect atrial patent ductus prolapse coarctation medium audible outcome years months"
    )
    return frozenset(words.split())
