"""The reference application: a program built on the library, which nothing in the library imports.

    uvicorn --factory objectstreaming.app:create_app

`create_app` makes it, from `Settings` and, where wanted, an answerer, a voice and a recognizer of your own.
"""

from .application import Settings, create_app
from .limits import AppLimits

__all__ = ["AppLimits", "Settings", "create_app"]
