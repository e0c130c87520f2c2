"""The networks: multi-scale VAE, Medical Attention, structured U-Net, vocoder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "attention": ["MedicalAttention"],
        "subspaces": ["cycle_position", "split_subspaces", "swap"],
        "unet": ["StructuredUNet"],
        "vae": ["MultiScaleVAE"],
        "vocoder": ["Vocoder"],
    },
)
