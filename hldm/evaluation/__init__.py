"""Metrics by family: fidelity, consistency, interpretability; and the tables that print them with their floors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["consistency", "fidelity", "interpretability", "physiology"],
    submod_attrs={
        "measurers": ["Judge", "Judgement"],
        "physiology": ["estimate_heart_rate"],
        "report": ["clips_of", "evaluate"],
        "resampling": ["Estimate", "Sample", "interval", "real_vs_real"],
    },
)
