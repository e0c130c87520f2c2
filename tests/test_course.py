"""Checks of exercises judge an answer and never stop a notebook."""

import pytest

from hldm.course import check_answer


def said(answer):
    return check_answer(answer, lambda bpm: abs(bpm - 60) < 1, hint="A minute has < 61 s.")._repr_html_()


def test_a_right_answer_is_told_so():
    assert "Right" in said(60.4)


@pytest.mark.parametrize(("answer", "word"), [(None, "No answer yet"), (90, "Not yet:</b> 90"), ("x", "TypeError")])
def test_whatever_else_gets_the_hint(answer, word):
    assert word in said(answer)
    assert "A minute has &lt; 61 s." in said(answer)
    assert "Right" not in said(answer)


def test_long_answers_are_shortened_and_escaped():
    assert len(said("<b>" * 1000)) < 400
    assert "<b><b>" not in said("<b>" * 1000)
