"""The optional C extension; everything else is in pyproject.toml.

Where there is no compiler the package installs without it and runs on the pure codec: same behaviour, slower.
"""

from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "objectstreaming._native",
            sources=sorted(glob("objectstreaming/native/*.c")),
            depends=["clients/c/objectstreaming.h", *glob("objectstreaming/native/*.h")],
            optional=True,
        )
    ]
)
