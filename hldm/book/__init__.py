"""Making the book: execute the chapters, fetch the page's scripts, build the site, check it in a browser."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "execute": ["ChapterError", "Run", "execute"],
        "site": ["build", "render"],
        "links": ["broken_links"],
        "browser": ["find_browser"],
        "check": ["check_site"],
    },
)
