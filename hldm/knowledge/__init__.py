"""What is known about heart sounds: the graph, the narrative it tells, and the reader of free text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "posterior": ["Suggestion", "differential"],
        "codes": ["code_status", "verhoeff_ok"],
        "export": ["to_graphml", "to_turtle"],
        "graph": ["counts", "knowledge_graph", "systolic_values"],
        "narration.narrative": ["Narrative", "as_told", "narrative"],
        "prompt.reader": ["Fact", "NotUnderstood", "Reading", "read_prompt"],
        "sampling": ["edit", "forget", "random_record"],
        "narration.shorthand": ["as_noted", "note"],
        "subgraph": ["patient_subgraph", "to_hetero"],
    },
)
