"""The reader takes any text: no exception, time in proportion to its length, nothing half understood in silence."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.data import ClinicalRecord, SystolicMurmur
from hldm.knowledge import read_prompt

PHRASES = [line.split("\t")[0] for name in ("phrases", "statements") for line in
           (Path(__file__).parent / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]]  # fmt: skip
WORDS = sorted({word for phrase in PHRASES for word in phrase.split()})
BASE = ClinicalRecord(age_years=8, murmur="Present", systolic=SystolicMurmur("Holosystolic", grade="II/VI"))
ODD = ["\x00", "\u2028", "\u0130", "\u0131", "\u017f", "\u212a", "\u0663", "\u00bd", "\u00b2", "9" * 400, "1" * 5000,
       "IIII", "IVX/VI", "nan", "1e309", "-5", "0/0", "--->", "\n", "\t", "(", ")"]  # fmt: skip

words = st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)
spliced = st.builds(
    lambda a, b, i, j: a[: i % (len(a) + 1)] + b[j % (len(b) + 1) :],
    st.sampled_from(PHRASES), st.sampled_from(PHRASES), st.integers(0, 200), st.integers(0, 200),
)  # fmt: skip
joined = st.builds(
    lambda parts, sign: sign.join(parts),
    st.lists(st.sampled_from([*PHRASES, *ODD]), max_size=4),
    st.sampled_from([", ", "; ", ". ", " and ", " or ", " but ", " not ", " no ", "\n", ""]),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(words, spliced, joined, st.text(max_size=80)), st.booleans())
def test_any_text_can_be_read(text, edits):
    reading = read_prompt(text, BASE if edits else None)
    assert all(isinstance(problem, str) for problem in reading.problems)
    assert all(word.strip() for word in reading.unknown)


@pytest.mark.parametrize(
    "unit", [" ", "\n", "-", "=", "1", "(", "?", "no ", "not ", "murmur, ", "VSD or ", "radiating to ", "loud "]
)
def test_time_grows_with_the_length_and_no_faster(unit):
    def seconds(length):
        text = unit * (length // len(unit))
        start = time.perf_counter()
        read_prompt(text)
        return time.perf_counter() - start

    seconds(100)  # compiles the rules
    assert seconds(20_000) < 40 * seconds(2_000) + 0.5  # ten times the text; in a square it were a hundred times
