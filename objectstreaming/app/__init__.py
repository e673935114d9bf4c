"""The reference application: a program built on the library, which nothing in the library imports.

    uvicorn --no-proxy-headers --factory objectstreaming.app:create_app

`create_app` makes it from `Settings` and, if you have your own, an answerer, a synthesizer and a recognizer.
"""

from ..extras import extra

with extra("server"):
    from .application import create_app
    from .limits import AppLimits
    from .settings import Settings

__all__ = ["AppLimits", "Settings", "create_app"]
