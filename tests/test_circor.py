"""CirCor as published: read, and checked as a whole."""

import numpy as np
import pandas as pd
import pytest
import wfdb
from published import NAMES, waveform

from hldm.data import (
    AgeGroup,
    CircorCorpus,
    ClinicalRecord,
    DataError,
    DiastolicMurmur,
    Location,
    Murmur,
    Outcome,
    Segment,
    Sex,
    State,
)


def test_what_is_published_is_read(published):
    corpus = CircorCorpus(published)
    assert [r.name for r in corpus] == list(corpus.names) == [*NAMES["101"], *NAMES["102"]]
    assert len(corpus) == 4
    first = corpus.recording("101_AV_1")
    np.testing.assert_array_equal(first.waveform, waveform().astype(np.float32) / 32768)
    assert first.waveform.dtype == np.float32
    assert (first.sampling_rate, first.duration, first.location, first.patient_id) == (4000, 2.0, "AV", "101")
    assert first.segments[1] == Segment(0.5, 0.6, State.S1)
    assert first.heart_rate == pytest.approx(60 / 0.9)
    assert corpus.recording("101_Phc").segments == (Segment(0, 2, State.UNANNOTATED),)


def test_fields_are_typed_and_nan_is_unknown(published):
    first, second = CircorCorpus(published).patients
    assert first.record == ClinicalRecord(
        sex=Sex.FEMALE, weight_kg=61.5, pregnant=True, murmur=Murmur.PRESENT, murmur_locations=(Location.AV,),
        most_audible_location=Location.AV, outcome=Outcome.ABNORMAL,
        diastolic=DiastolicMurmur("Early-diastolic", "Decrescendo", "I/IV", "Low", "Blowing"),
    )  # fmt: skip
    assert (first.campaign, first.additional_id) == ("CC2014", "102")
    assert first.locations == ("AV", "AV", "Phc")
    assert (second.record.age_group, second.record.height_cm, second.record.systolic) == (AgeGroup.CHILD, 98, None)


def test_a_recording_knows_where_it_was_taken(published):
    corpus = CircorCorpus(published)
    assert corpus.recording("101_Phc").record == corpus.patients[0].record.replace(location="Phc")
    assert corpus.recording("101_Phc").record.murmur_here is False
    assert corpus.recording("101_AV_2").record.murmur_here is True


def test_the_older_release_has_another_column_of_sites_and_no_outcome(published):
    table = pd.read_csv(published / "training_data.csv", dtype=str, keep_default_na=False)
    table = table.drop(columns="Outcome").rename(columns={"Recording locations:": "Locations"})
    table.to_csv(published / "training_data.csv", index=False)
    for path in (published / "training_data").glob("*.txt"):
        path.write_text("\n".join(x for x in path.read_text().splitlines() if not x.startswith("#Outcome")))
    assert [p.record.outcome for p in CircorCorpus(published).patients] == [None, None]


def test_only_some_patients(published):
    splits = {"101": "train", "102": "val"}
    assert CircorCorpus(published, "val", splits=splits).names == ("102_MV",)
    assert CircorCorpus(published, max_patients=1).names == tuple(NAMES["101"])
    with pytest.raises(DataError, match="splits: found '102'"):
        CircorCorpus(published, "val", splits={"101": "train"}).names  # noqa: B018
    with pytest.raises(ValueError, match="validation"):
        CircorCorpus(published, "validation")
    with pytest.raises(KeyError, match="102_AV"):
        CircorCorpus(published).recording("102_AV")


def test_the_report_counts_oddities(published):
    report = CircorCorpus(published).check()
    assert report.ok
    assert (report.patients, report.recordings, report.absent) == (2, 4, 1)
    assert {k: v for k, v in (report.patient_oddities | report.recording_oddities).items() if v} == {
        "without age": 1, "without height": 1, "without weight": 1, "pregnant": 1, "diastolic murmur only": 1,
        "with an additional id": 2, "a site recorded repeatedly": 1, "name with a number": 2,
        "at another site (Phc)": 1, "nothing annotated": 1, "no complete beat": 3, "table starts after 0 s": 1,
        "table ends early": 1, "segments overlap (> 1 ms)": 1, "gaps between segments (> 1 ms)": 1,
        "segment of no length": 1,
    }  # fmt: skip
    assert report.hours == pytest.approx(8 / 3600)
    assert report.unannotated == pytest.approx(1 - (0.91 + 0.55 + 2) / 8)
    assert "pregnant" in str(report)


#: Published as a single row of no meaning.
DEFECTIVE = "50782_MV_1"


def test_the_real_corpus_has_no_problem_but_the_published_one(circor):
    report = circor.check()
    defective = [f"{DEFECTIVE}.tsv"] if DEFECTIVE in circor.names else []
    assert [problem.file.name for problem in report.problems] == defective
    assert report.recordings == len(circor) - len(defective) == len(list(circor.folder.glob("*.wav"))) - len(defective)
    table = circor.table.loc[[p.patient_id for p in circor.patients]]  # counted anew from the table
    expected = {
        "without age": (table["Age"] == "nan").sum(),
        "without height": (table["Height"] == "nan").sum(),
        "without weight": (table["Weight"] == "nan").sum(),
        "pregnant": (table["Pregnancy status"] == "True").sum(),
        "murmur unknown": (table["Murmur"] == "Unknown").sum(),
        "murmur absent, outcome abnormal": ((table["Murmur"] == "Absent") & (table["Outcome"] == "Abnormal")).sum(),
        "murmur present, outcome normal": ((table["Murmur"] == "Present") & (table["Outcome"] == "Normal")).sum(),
        "with an additional id": (table["Additional ID"] != "nan").sum(),
    }
    assert {name: report.patient_oddities[name] for name in expected} == expected
    assert report.recording_oddities["at another site (Phc)"] == len(list(circor.folder.glob("*_Phc*.wav")))


def test_wfdb_reads_the_same_samples(circor):
    for patient in circor.patients[:5]:
        for name in patient.recordings:
            signal = wfdb.rdrecord(str(circor.folder / name), physical=False).d_signal[:, 0]
            np.testing.assert_array_equal(circor.recording(name).waveform * 32768, signal)


@pytest.mark.filterwarnings("ignore:left out")
def test_the_real_corpus_is_iterated_to_its_end(circor):
    corpus = CircorCorpus(circor.root)
    assert [recording.name for recording in corpus] == [name for name in corpus.names if name != DEFECTIVE]
    assert [problem.file.stem for problem in corpus.left_out] == [name for name in corpus.names if name == DEFECTIVE]
