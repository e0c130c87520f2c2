"""Words of the clinic and what they mean in a record: a table of patterns for the prompt reader.

Order matters: a pattern consumes what it matches, so longer and more specific ones stand first. Patterns meet text
that `spelling.respell` has evened out: shorthand is spelled out and numbers are figures.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, NamedTuple

from hldm.data.records import AgeGroup, Murmur, Outcome, Pitch, Quality, Sex, Shape
from hldm.data.tables import read_table
from hldm.knowledge.graph import knowledge_graph
from hldm.knowledge.places import place_patterns

ROMAN = ("I", "II", "III", "IV", "V", "VI")
_STEP = r"(?:[IVX]+|\d+)"
_N = r"(?P<n>(?<![\w.-])-?\d+(?:\.\d+)?)"
_UNIT = r"(?P<unit>days?|weeks?|wks?|w|months?|mos?|mths?|years?|yrs?|y|d)"


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
        return int(text)
    letters = [{"I": 1, "V": 5, "X": 10}[c] for c in text.upper()]
    return sum(-a if a < b else a for a, b in zip(letters, [*letters[1:], 0], strict=True))


def _age(match: re.Match) -> tuple[float, str]:
    unit = (match.groupdict().get("unit") or "year").lower()
    return float(match["n"]), {"d": "day", "w": "week", "m": "month", "y": "year"}[unit[0]]


def _grade(match: re.Match) -> tuple[int, int | None]:
    scale = match.groupdict().get("scale")
    return step(match["step"]), step(scale) if scale else None


def _times(factor: float):
    return lambda match: float(match["n"]) * factor


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
        rf"{fixed} {split}(?: S2)?|S2(?: is)? {fixed} split|wide(?:ly)? {split} S2|S2 (?:is )?widely split":
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
        "gallop": "S3", "thrill": "systolic thrill", "rub": "pericardial friction rub", "clicks?": "click",
        "S1 S2": "normal S2", "(?:added|extra|other) (?:heart )?sounds?": "added sounds",
        "(?:normal )?sinus rhythm|regular (?:rate and )?rhythm|rhythm (?:is )?regular|RRR|NSR": "regular rhythm",
    }  # fmt: skip
    silent = [(r"(?:S1 S2|I ?\+ ?II) ?\+ ?0", "murmur", Murmur.ABSENT)]
    return silent + [(pattern, "finding", name) for pattern, name in (spoken | ours | bare).items()]


def _patient() -> list[tuple[str, str, Any]]:
    rate = r"(?:(?:fast|slow)(?:er)? )?(?:heart rate|HR|pulse(?: rate)?|heart beats|rate)"
    per_minute = r" ?(?:bpm|beats? ?(?:per |/|an? )min(?:ute)?|(?:times )?(?:per|a) min(?:ute)?|/ ?min(?:ute)?)"
    about = r"(?: (?:is|of|at|about|around|to|up|down|was)|:|=)*\s*"
    kin = r"(?= (?:son|daughter|child|baby|boy|girl|doctor|mother|father))"
    judged = r"(?:(?:judged |was |is |as |: ?|the )*)"
    return [
        (rf"birth ?weight{about}{_N} ?\w+", "remark", None),
        (r"\d+ ?weeks?(?:[- ]pregnant| of (?:gestation|pregnancy)| gestation)|gestation(?:al age)? (?:of )?\d+ weeks?",
         "pregnant", True),
        (r"pregnancy status:? (?:not pregnant|false|no)|pregnancy: ?(?:no|false)|no pregnancy(?: is recorded)?"
         r"|(?:not|non|isn't)[- ]?pregnant", "pregnant", False),
        (r"pregnancy status:? (?:pregnant|true|yes)|pregnancy: ?(?:yes|true)|expecting(?: a (?:baby|child))?"
         r"|expectant(?= mother)|pregnan(?:t|cy)|gravid", "pregnant", True),
        (r"\d+(?:\.\d+)? ?(?:-|to) ?\d+(?:\.\d+)?[\s-]*(?:years?|months?|weeks?|days?|yo)(?:[- ]old)?", "range",
         "age"),
        (rf"{_N}[\s-]*(?:years?|yrs?|y)(?:,? and|,)?[\s-]*(?P<months>\d+)[\s-]*(?:months?|mos?|mths?|m)(?:[\s-]*old)?",
         "age", lambda m: (float(m["n"]) * 12 + float(m["months"]), "month")),
        (rf"{_N}[\s-]*{_UNIT}[\s/.-]*(?:o(?:ld)?|of age)\b\.?", "age", _age),
        (rf"\bage[ds]?(?::| of)? ?(?:about )?{_N}[\s-]*{_UNIT}?\b", "age", _age),
        (rf"{_N}[\s-]*(?P<unit>years?|yrs?|months?|mos?|mths?|weeks?|wks?|days?|y)(?=\b|[MF]\b)", "age", _age),
        (r"age group:? (neonate|infant|child|adolescent|young adult)", "age_class",
         lambda m: AgeGroup(m.group(1).capitalize())),
        (r"neonat(?:e|al)|newborn", "age_group", AgeGroup.NEONATE),
        (r"infants?|bab(?:y|ies)", "age_group", AgeGroup.INFANT),
        (r"(?:pre-?)?school ?child|child|kid|toddlers?|preschooler", "age_group", AgeGroup.CHILD),
        (r"adolescents?|teen(?:ager|aged?)?", "age_group", AgeGroup.ADOLESCENT),
        (r"(?:young )?adult", "age_group", AgeGroup.YOUNG_ADULT),
        (rf"(?<=\x00 )mother|females?|(?:school)?girls?|wom[ae]n|lady|daughter|sister|she|her(?!{kin})", "sex",
         Sex.FEMALE),
        (rf"males?|(?:school)?boys?|m[ae]n|gentleman|son|brother|he|his(?!{kin})", "sex", Sex.MALE),
        (r"(?-i:F)", "sex", Sex.FEMALE),
        (r"(?-i:M)", "sex", Sex.MALE),
        (rf"(?:height{about}|measured at )?{_N} ?(?:cm|centimet\w+)(?: tall)?", "height_cm", _times(1)),
        (rf"height{about}{_N} ?(?:m|met(?:er|re)s?)", "height_cm", _times(100)),
        (rf"{_N} ?(?:m|met(?:er|re)s?) tall", "height_cm", _times(100)),
        (rf"(?:height{about})?{_N} ?(?:ft|feet|foot|')\.?(?: ?(?P<inch>\d+) ?(?:in|inch(?:es)?|\"))?(?: tall)?",
         "height_cm", lambda m: 2.54 * (12 * float(m["n"]) + float(m["inch"] or 0))),
        *[(rf"(?:weigh(?:s|t|ing)?{about})?{_N} ?(?:{unit})", "weight_kg", _times(kg)) for unit, kg in {
            r"kgs?|kilograms?|kilos?": 1, r"g|grams?|gm": 0.001, r"lbs?|pounds?": 0.45359237}.items()],
        (rf"{rate}{about}{_N}(?:{per_minute})?", "heart_rate", _times(1)),
        (rf"{_N}{per_minute}", "heart_rate", _times(1)),
        (rf"(?:outcome|assessment|verdict|evaluation)(?:(?!normal)[^.;,]){{0,40}}?\b{judged}"
         r"((?:ab)?normal(?: (?:and|or) (?:ab)?normal)?)", "outcome", lambda m: m.group(1).capitalize()),
        (r"(?:ab)?normal outcome", "outcome", lambda m: m.group().split()[0].capitalize()),
        (r"healthy", "outcome", Outcome.NORMAL),
        (rf"(?:is|of|turn(?:s|ed)|aged|now) {_N}(?=\s*(?:$|[,.;]|(?:and|with|who|now|has|but)\b))", "age", _age),
    ]  # fmt: skip


def _murmur() -> list[tuple[str, str, Any]]:
    word = r"(?: (?!(?:but|and|with|an?|however|the)\b)[\w-]+)"
    noun = r"(?:murmurs?|bruits?)"
    no = (
        r"(?:no(?: longer)?|not(?= an?\b| any\b)|without|free of|absence of|absent|lacks?|den(?:y|ies)"
        r"|remove|delete|erase|drop|lose|take away)(?: an?| any| the)?"
    )
    gone = (
        r"(?:absent|none|no|(?:has |have )?(?:gone|disappeared|vanished|resolved)|(?:not |never |in)audible"
        r"|not (?:heard|present|detected|found|noted|appreciated)(?! (?:at|over|in|on) (?!any)))"
    )
    more = r"(?:(?:,|,? (?:or|and|nor)|/) ?(?:rubs?|gallops?|thrills?|clicks?|bruits?|no))*"
    unsure = r"(?:unknown|undetermined|unclear|uncertain|indeterminate|not (?:known|determined|assessable))"
    cannot = "(?:cannot|can't|can not|could not)"
    grade = rf"(?:grade[sd]?|loudness|intensity|levine)(?: (?:is|of|at|a|grade|to))*[:\s]*(?P<step>{_STEP})"
    over = r"(?:\s*(?:/|out of|of|over)\s*)"
    scale = rf"{over}(?P<scale>VI|IV|6|4)\b"
    until = rf"\s*(?:-|to|or)\s*{_STEP}"
    return [
        (r"systole and diastole are silent|systole and diastole are clear", "murmur", Murmur.ABSENT),
        (rf"(?:{no}|neither){word}{{0,2}}? systolic (?:or|nor) diastolic {noun}", "murmur", Murmur.ABSENT),
        (rf"{no}{word}{{0,3}}? (?:holo|pan)?-?systolic {noun}", "silent", "systolic"),
        (rf"{no}{word}{{0,3}}? (?:holo|pan)?-?diastolic {noun}", "silent", "diastolic"),
        (r"whether there is a murmur is not recorded", "murmur_unsaid", True),
        (r"too (?:poor|noisy) to judge whether there is a murmur|poor(?: recording)? quality|uninterpretable"
         rf"|{noun}(?: status)?(?: of this patient)?(?: is|:)? {unsure}|{unsure} {noun}|{noun} ?\?"
         rf"|{noun} {cannot} be (?:determined|judged|assessed|excluded)(?: because of noise)?"
         rf"|{cannot} (?:exclude|rule out|judge|assess)(?: an?| any)? {noun}", "murmur", Murmur.UNKNOWN),
        (rf"{no}{word}{{0,3}}? {noun}{more}|{noun}[- ]free|{noun}(?: is| are| was| were|:| =)* ?{gone}"
         r"(?: at (?:any|all) (?:sites?|areas?|locations?))?", "murmur", Murmur.ABSENT),
        *_timing("systolic", "sy"), *_timing("diastolic", "dia"),
        (r"SEM|ESM|(?:systolic ejection|ejection systolic)(?: murmur)?|ejection(?= murmur)", "systolic.timing",
         "Mid-systolic"),
        (r"HSM|PSM", "systolic.timing", "Holosystolic"),
        (r"LSM", "systolic.timing", "Late-systolic"),
        (r"EDM", "diastolic.timing", "Early-diastolic"),
        (r"MDM", "diastolic.timing", "Mid-diastolic"),
        (r"continuous(?:,? machinery(?:-like)?)?|machinery(?:-like)?(?= murmur)", "phase", "continuous"),
        (r"to[- ]and[- ]fro", "phase", "both"),
        (r"systolic(?! (?:pressure|bp))|systole", "phase", "systolic"),
        (r"diastolic(?! (?:pressure|bp))|diastole", "phase", "diastolic"),
        (rf"{grade}{until}(?:{over}(?:VI|IV|6|4))?|\b{_STEP}{until}{over}(?:VI|IV|6|4)".replace("?P<step>", "?:"),
         "range", "grade"),
        (grade + scale, "grade", _grade),
        (rf"\b(?P<step>{_STEP}){scale}", "grade", _grade),
        (grade + r"\b", "grade", _grade),
        (r"crescendo[- /]decrescendo(?: in shape)?|(?:diamond|spindle|kite)(?:[- ]shaped)?"
         r"|(?:increas|ris|wax|grow)ing(?:,? and| then| and then) (?:decreas|fall|wan|fad)ing", "shape", Shape.DIAMOND),
        (r"(?:of )?decrescendo(?: in)?(?: shape)?|(?:fad|taper|decreas|diminish|dy)ing(?: away| off)?(?: towards? S2)?",
         "shape", Shape.DECRESCENDO),
        (r"crescendo(?: in shape)?|(?:grow|get)(?:s|ing) louder|(?:increas|ris)ing(?: in intensity)?", "shape",
         Shape.CRESCENDO),
        (r"(?:of )?(?:constant|even|steady|uniform) (?:loudness|intensity)(?: like a plateau)?"
         r"|(?:like a )?plateau(?:[- ]shaped)?|(?:flat )?band[- ]shaped|flat", "shape", Shape.PLATEAU),
        *[(rf"(?:of )?{word}[- ](?:pitch(?:ed)?|frequency)|pitch(?: is|:)? {word}", "pitch", pitch)
          for word, pitch in {"low": Pitch.LOW, "(?:medium|mid|moderate)": Pitch.MEDIUM, "high": Pitch.HIGH}.items()],
        *[(rf"(?<=, ){pitch}(?=,|\.|$)", "pitch", pitch) for pitch in Pitch],
        (r"rumbl(?:e|ing)", "pitch", Pitch.LOW),
        (r"(?:harsh|coarse|rough|rasping|grating)(?: in quality)?", "quality", Quality.HARSH),
        (r"(?:blowing|breath-like|breathy|whooshing)(?: in quality)?", "quality", Quality.BLOWING),
        (r"(?:musical|vibratory|twanging|cooing|squeaky|honking|whistling|humming)(?: in quality)?", "quality",
         Quality.MUSICAL),
    ]  # fmt: skip


#: Sentences that rank explanations or advise; they state no fact about the patient.
ADVICE = re.compile(
    r"\s*(?:(?:the )?differential|likely explanations|(?:the )?recommended evaluation|as evaluation|no differential"
    r"|without a description|no structural lesion|rule out|consider)\b",
    re.I,
)
#: Before a diagnosis, a finding or an attribute: it is not stated as a fact.
NEGATED = re.compile(
    r"\b(?:no|not|without|non|never|excluded?|instead of|rather than|than)(?: an?| any| the| evidence of)?[\s-]*$", re.I
)
DOUBTED = re.compile(
    r"(?:\?|\b(?:suspected|suspicion of|possible|probable|likely|rule out|r/o|consider|query|vs\.?))\s*$", re.I
)
#: Words without a meaning of their own here.
FILLER = frozenset(
    """
    a an the and or with of at on in is are was were to for from it its this that these has have had there patient
    subject person who where as by be been old known diagnosis diagnoses heard audible murmur murmurs bruit present
    presence status sound sounds heart cardiac sited site s recording record recorded lies stethoscope clinical overall
    judged after work-up work up outcome measured height weight weighs tall cm kg rate beats per minute bpm pulse any
    auscultation finds detail unrecorded age aged group sex gender years only also then some very please generate
    synthesize synthesise make give me us my our your we i you sounding described quality character shape timing
    loudness intensity pitch pitched graded grade best over along area areas which but both same patient's
    radiating radiation recordings phonocardiogram 's doctor said says heard note notes student visit last little
    young what does do like about add instead followed consistent since birth final into seems hs gives
    """.split()  # noqa: SIM905
)


@cache
def rules() -> tuple[Rule, ...]:
    """The whole table, compiled once."""
    table = [*_conditions(), *_findings(), *place_patterns(), *_murmur(), *_patient()]
    return tuple(Rule(re.compile(rf"(?<!\w)(?:{p})(?!\w)", re.I), f, v) for p, f, v in table)


@cache
def lexicon() -> frozenset[str]:
    """Words that are right as they stand; a near miss of one is a typing error."""
    words = (
        "holosystolic pansystolic pandiastolic systolic diastolic early late crescendo decrescendo diamond plateau "
        "pale weak harsh blowing musical high medium female male girl boys child infant adolescent neonate neonatal newborn "
        "pregnant mitral aortic tricuspid pulmonary pulmonic apex radiates radiating radiation loudest abnormal normal "
        "stenosis regurgitation insufficiency ventricular septal defect atrial patent ductus prolapse coarctation "
        "tetralogy year years month months week weeks days click split gallop thrill systole diastole left right upper "
        "lower border sternal louder than rather"
    )
    return frozenset(words.split()) | FILLER


@lru_cache(maxsize=8192)
def is_known(word: str) -> bool:
    """Whether a word alone means something here."""
    return any(rule.pattern.fullmatch(word) for rule in rules())
