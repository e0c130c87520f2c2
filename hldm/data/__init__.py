"""Recordings and records: reading, simulating, splitting, cutting into clips, and turning into log-mel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "errors": ["DataError"],
        "records": [
            "AgeGroup", "ClinicalRecord", "DiastolicGrade", "DiastolicMurmur", "DiastolicTiming", "Location",
            "Murmur", "Outcome", "Pitch", "Quality", "Recording", "Segment", "Sex", "Shape", "State",
            "SystolicGrade", "SystolicMurmur", "SystolicTiming",
        ],
        "circor": ["CircorCorpus", "Patient", "write_corpus"],
        "split": ["circor_split", "split_by_person"],
        "download": ["download"],
        "external": ["Cinc2016Corpus", "YaseenCorpus", "PascalCorpus", "BmdHsCorpus"],
        "simulator": ["Simulation", "simulate", "simulate_corpus"],
        "spectrogram": ["LogMel"],
        "clips": ["Clip", "ClipDataset"],
        "tables": ["read_table"],
    },
)  # fmt: skip
