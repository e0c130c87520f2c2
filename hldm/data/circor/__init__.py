"""CirCor's layout: its files, a corpus of them, what is wrong with one, and writing one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corpus": ["CircorCorpus"],
        "format": ["Patient"],
        "write": ["write_corpus"],
    },
)
