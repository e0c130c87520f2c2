"""Where on the chest: names of the auscultation sites, and patterns of where a murmur or the stethoscope is."""

from __future__ import annotations

import re
from typing import Any

from hldm.data.records import Location

_EDGE = "(?:para)?sternal (?:border|edge)"
_SPACE = "(?:intercostal )?space"


def _valve(names: str) -> str:
    spots = "(?:areas?|sites?|regions?|positions?|points?|locations?|foc(?:us|i)|valves?)"
    return rf"(?:{names})(?: valve)?(?: auscultation)?(?: {spots})?"


def _space(number: str, side: str) -> str:
    return (
        rf"{number} {side} {_SPACE}|{side} {number} {_SPACE}|{number} {_SPACE} (?:on|to) the {side}(?: of the sternum)?"
    )


#: Names of each site. What is none of the four areas counts as CirCor's fifth: another site.
SITES = {
    Location.AV: rf"{_valve('aortic|AV')}|A(?= area)|RUSB|URSB|(?:right upper|upper right) {_EDGE}"
    rf"|{_space('2nd', 'right')}",
    Location.PV: rf"{_valve('pulmonary|pulmonic|PV')}|P(?= area)|LUSB|ULSB|(?:left upper|upper left) {_EDGE}"
    rf"|{_space('2nd', 'left')}",
    Location.TV: rf"{_valve('tricuspid|TV')}|T(?= area)|LL?S[BE]|(?:(?:left lower|lower left|left) ){_EDGE}"
    rf"|{_space('4th', 'left')}",
    Location.MV: rf"{_valve('mitral|MV')}|M(?= area)|(?:(?:cardiac|heart) )?(?:apex|apx)(?: of the heart)?"
    rf"|apical(?: area| region)?|(?:{_space('5th', 'left')}|5th {_SPACE})"
    r"(?:,? (?:in |at )?(?:the )?(?:MCL|midclavicular line))?",
    Location.PHC: r"(?:(?:unnamed )?additional|other|another) site(?: \(?Phc\)?)?|Phc|erb'?s? point|suprasternal notch"
    r"|(?:left |right )?(?:axillae?|armpits?|clavicles?|collarbones?|infraclavicular (?:area|region))"
    rf"|(?:both |left |right )?carotids?(?: arter(?:y|ies))?|neck|(?:upper )?back|epigastrium|right {_EDGE}"
    rf"|{_space('3rd', 'left')}",
}  # fmt: skip
_SITE = rf"(?:the )?(?:{'|'.join(SITES.values())})(?!\w)"
_SITES = rf"{_SITE}(?:(?:,? and |, ?|/|\s?\+\s?)(?:to )?{_SITE})*"
_BY_SITE = {site: re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.I) for site, names in SITES.items()}


def sites(text: str) -> tuple[Location, ...]:
    """Every site named in a text, in its order."""
    found = {match.start(): site for site, names in _BY_SITE.items() for match in names.finditer(text)}
    return tuple(dict.fromkeys(found[start] for start in sorted(found)))


def _listed(match: re.Match) -> tuple[Location, ...]:
    return sites(match["sites"])


def _first(match: re.Match) -> Location:
    return sites(match["sites"])[0]


def place_patterns() -> list[tuple[str, str, Any]]:
    """Pattern, field and value of every way to say where."""
    best = (
        "(?:(?:is |was )?(?:loudest|most (?:audible|prominent|intense)|best (?:heard|audible|appreciated)|heard best"
        "|max(?:imal|imum|imally)?(?: intensity)?|(?:point|punctum) of max(?:imal|imum) intensity|pmi))"
    )
    at = r"[\s:]+(?:is |was )?(?:at |over |in |on |along |near |around |below |under |the )*"
    recorded = "(?:sound |recording )?(?:is |was )?record(?:ed|ing)"
    listening = f"(?:the )?(?:stethoscope|auscultation (?:site|point)|listening|listened|auscultated|{recorded})"
    everywhere = r"(?:sites?|locations?|areas?|valves?|auscultation (?:sites?|points?)|(?:of the )?pr[ae]?ecordium)"
    spread = "(?:radiat(?:es?|ing|ed|ion)|spread(?:s|ing)?|transmi(?:tted|ssion)|conducted|referred|extend(?:s|ing))"
    four = (Location.AV, Location.MV, Location.PV, Location.TV)
    return [
        (rf"{listening}(?: lies| is| was| placed| site)*:?{at}(?P<sites>{_SITE})", "location", _first),
        (rf"{best}{at}(?P<sites>{_SITE})", "most_audible_location", _first),
        (r"(?:is )?not heard elsewhere|heard nowhere else|only there", "sole", True),
        (rf"(?:with )?{spread}(?: widely)?(?: is| are)?:? (?:(?:in)?to(?:wards?)? )?(?P<sites>{_SITES})", "radiation",
         _listed),
        (spread, "radiates", None),
        (rf"(?:at|over|across|in|throughout) (?:all(?: four| 4)?|every|each|the (?:whole|entire)|whole|the)?"
         rf" ?{everywhere}|everywhere", "murmur_locations", lambda m: four),
        (rf"also (?:heard |audible |present )?(?:at|over|in|on|along) (?P<sites>{_SITES})", "radiation", _listed),
        (rf"(?<=murmur )heard over (?P<sites>{_SITE})", "place", _listed),
        (rf"(?:heard|audible) (?:only )?(?:at|over|in|on|along) (?P<sites>{_SITES})", "murmur_locations", _listed),
        (r"(?:at |over )?(?:the )?(?:heart'?s? )?base(?: of the heart)?", "murmur_locations",
         lambda m: (Location.AV, Location.PV)),
        (rf"(?:(?:at|over|in|on|along|near|below|under|around) )?(?P<sites>{_SITES})", "place", _listed),
    ]  # fmt: skip
