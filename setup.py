"""The optional C extension; everything else is in pyproject.toml.

Where there is no compiler the package installs without it and runs on the pure codec: same behaviour, slower. The wheel
is then tagged as one of pure Python, so that a cache of wheels does not take it for the compiled one.

OBJECTSTREAMING_REPOSITORY, the address of the repository, is set where a release is built. The metadata then names
it, and the links of README.md lead there: a package index shows that page, and has none of the files beside it.
"""

import os
import re
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

NATIVE = "objectstreaming._native"
REPOSITORY = os.environ.get("OBJECTSTREAMING_REPOSITORY", "").rstrip("/")


def readme() -> str:
    text = Path("README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|#)", f"]({REPOSITORY}/blob/HEAD/", text) if REPOSITORY else text


class Wheel(bdist_wheel):
    def run(self):
        self.run_command("build")
        built = self.get_finalized_command("build_ext").get_ext_fullpath(NATIVE)
        in_build = Path(self.get_finalized_command("build").build_lib, *NATIVE.split(".")[:-1], Path(built).name)
        if not in_build.exists() and not Path(built).exists():
            self.distribution.ext_modules = []  # or else the files would be put where those of a platform are
            self.root_is_pure = True
        super().run()


setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    project_urls={
        "Source": REPOSITORY,
        "Changelog": f"{REPOSITORY}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    }
    if REPOSITORY
    else {},
    cmdclass={"bdist_wheel": Wheel},
    ext_modules=[
        Extension(
            NATIVE,
            sources=sorted(glob("objectstreaming/native/*.c")),
            depends=["clients/c/objectstreaming.h", *glob("objectstreaming/native/*.h")],
            extra_compile_args=[] if os.name == "nt" else ["-g0"],
            optional=True,
        )
    ],
)
