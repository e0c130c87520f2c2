"""From a record to the clinical condition c of Eq. 1: text encoder, graph encoder, fusion."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "fields": ["SCALARS", "scalars", "targets"],
        "fusion": ["ConditionEncoder"],
        "graph": ["GraphEncoder"],
        "text": ["TextEncoder"],
    },
)
