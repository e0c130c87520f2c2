"""The three stages of training, each one resumable command, and the training of the encoders and the judge."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["read_history"],
        "stages": ["run_folder", "train"],
    },
)
