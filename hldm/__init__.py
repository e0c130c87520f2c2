"""H-LDM for learners: from clinical metadata to heart sounds, chapter by chapter."""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["conditioning", "config", "data", "engine", "evaluation", "knowledge", "models", "show", "training"],
    submod_attrs={"synthesis": ["HeartSound", "Synthesizer"]},
)
