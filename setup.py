"""The optional C extensions; all else is in pyproject.toml.

Where there is no compiler the package installs without it and runs on the pure codec: same behaviour, slower.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            f"{package}._native",
            sources=[f"{package}/_native.c"],
            depends=["clients/c/objectstreaming.h"],
            optional=True,
        )
        for package in ("objectstreaming", "wav_streaming")
    ]
)
