"""Heart sounds by the file, the folder and the corpus: what ``hldm generate`` writes, and what it says about it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corpus": ["generate_corpus"],
        "requests": ["Request", "not_understood", "read_prompts", "read_records"],
        "sounds": ["Settings", "Studio", "generate"],
    },
)
