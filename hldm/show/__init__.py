"""What a reader sees and hears: figures, players, and widgets that work without a kernel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "session": ["Session", "setup"],
        "plots": ["bars", "mel_spectrogram", "show", "spectrogram", "waveform"],
        "audio": ["compare", "player"],
        "diffusion": ["beat_maps", "latent"],
        "embeddings": ["cloud", "matrix", "shaded"],
        "graph": ["explore"],
        "form": ["Form"],
        "widgets": ["choices", "scrub", "what_if_panel"],
    },
)
