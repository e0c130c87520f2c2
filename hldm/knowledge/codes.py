"""SNOMED CT and HPO identifiers: their check digit, their address, and how far a pairing with a word is verified."""

from __future__ import annotations

import re

_DIHEDRAL = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
             "5987604321", "6598710432", "7659821043", "8765932104", "9876543210")  # fmt: skip
_PERMUTATION = ("0123456789", "1576283094", "5803796142", "8916043527",
                "9453126870", "4286573901", "2793806415", "7046913258")  # fmt: skip

#: Words in a table's remark on a code that say the code's concept is wider than, or only beside, ours.
_BROADER = re.compile("broader|approximate|qualifier|valve structure")
_UNVERIFIED = re.compile("not verified|low-quality")


def verhoeff_ok(identifier: str) -> bool:
    """Whether the last digit of a SNOMED CT identifier is its Verhoeff check digit.

    True catches typing slips; it does not show that the concept exists or means what a table says.
    """
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        check = int(_DIHEDRAL[check][int(_PERMUTATION[place % 8][int(digit)])])
    return check == 0


def code_status(remark: str) -> str:
    """How far a code may be trusted, from the remark beside it in the tables.

    Returns
    -------
    {"verified", "broader", "unverified"}
        ``"verified"``: a source read pairs the code with this very concept; ``"broader"``: with a wider or neighbouring
        one; ``"unverified"``: no source worth the name pairs them.
    """
    if _UNVERIFIED.search(remark):
        return "unverified"
    return "broader" if _BROADER.search(remark) else "verified"


def snomed_uri(identifier: str) -> str:
    """The address of a SNOMED CT concept, as its owner defines them."""
    return f"http://snomed.info/id/{identifier}"


def hpo_uri(identifier: str) -> str:
    """The address of a Human Phenotype Ontology term such as ``"HP:0001629"``."""
    return "http://purl.obolibrary.org/obo/" + identifier.replace(":", "_")
