"""The wheel and the sdist: they build, hold what they should, and install where nothing of this checkout is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://code.example.com/us/objectstreaming"


@pytest.fixture(scope="module")
def files() -> list[str]:
    """What a clone would hold, or what this unpacked sdist says that it holds."""
    if not (ROOT / ".git").exists():
        return (ROOT / "objectstreaming.egg-info" / "SOURCES.txt").read_text().splitlines()
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in files:  # a copy, so that nothing is built into the checkout
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        env={**os.environ, "OBJECTSTREAMING_REPOSITORY": REPOSITORY},
        check=True,
        capture_output=True,
    )
    return out


def test_the_wheel_holds_the_packages_their_types_and_the_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("objectstreaming", "object_streaming", "wav_streaming"):
        for source in (ROOT / package).rglob("*.py"):
            assert str(source.relative_to(ROOT)) in names
        assert f"{package}/py.typed" in names
    assert "objectstreaming/app/page.html" in names
    suite = ROOT / "objectstreaming" / "conformance"
    data = [*suite.glob("*.json"), *suite.glob("*.md"), *suite.glob("vectors/*")]
    assert {str(file.relative_to(ROOT)) for file in data} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [
        name for name in names if name.startswith(("tests/", "spec/", "clients/")) or name.endswith((".c", ".h"))
    ]


def test_a_package_index_shows_readme_with_links_that_lead_to_the_repository(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
    shown = Parser().parsestr(archive.read(name).decode("utf-8"))
    assert f"Source, {REPOSITORY}" in shown.get_all("Project-URL", [])
    links = re.findall(r"\]\(([^)]+)\)", str(shown.get_payload()))
    files = [link.removeprefix(f"{REPOSITORY}/blob/HEAD/").partition("#")[0] for link in links if REPOSITORY in link]
    assert {"spec/SPEC.md", "docs/tutorial.md"} <= set(files)
    assert not [file for file in files if not (ROOT / file).is_file()]
    assert not [link for link in links if not link.startswith(("https://", "#"))]


def test_a_wheel_that_was_built_without_a_compiler_is_one_of_pure_python(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("objectstreaming", "object_streaming", "wav_streaming"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(source)],
        env={**os.environ, "CC": "false"},
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "objectstreaming/errors.py" in zipfile.ZipFile(wheel).namelist()


def test_the_sdist_holds_all_that_the_repository_has(built: Path, files: list[str]) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(files) - names == set()


def test_the_wheel_installs_and_runs_from_elsewhere(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel],
        check=True,
    )
    code = (
        "import objectstreaming, object_streaming, wav_streaming\n"
        "print(objectstreaming.__file__)\n"
        "print(object_streaming.AnbJsonStreamCoder.encode({'a': 1}, {'b': 2}).hex())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    where, golden = ran.stdout.split()
    assert where.startswith(str(target))
    assert golden == "18000000080000007b2261223a20317d7b2262223a20327d"


def required(requirements: Iterable[str], extras: set[str]) -> Iterator[metadata.Distribution]:
    """The distributions of this environment that these requirements ask for, and those that they ask for in turn."""
    for requirement in map(Requirement, requirements):
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras or {""})
        if wanted and requirement.name != "objectstreaming":
            found = metadata.distribution(requirement.name)
            yield found
            yield from required(found.requires or (), requirement.extras)


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel and what its extra `conformance` asks for, and nothing else.

    The distributions are those of this environment, so that no network is needed.
    """
    (wheel,) = built.glob("*.whl")
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", environment / "bin" / "python"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (info,) = site.glob("objectstreaming-*.dist-info")
    asked = metadata.Distribution.at(info).requires or []
    [conformance] = [
        Requirement(text) for text in asked if re.match(r"objectstreaming\[.*extra == .conformance.", text)
    ]
    for distribution in required(asked, {"conformance", *conformance.extras}):
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))
    return environment / "bin"


GUIDE = ROOT / "objectstreaming" / "conformance" / "README.md"


def conformance(installed: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(installed / "objectstreaming"), "conformance", *arguments]
    return subprocess.run(command, cwd=directory, env={}, capture_output=True, text=True, check=False)


def test_the_suite_of_the_wheel_tries_the_program_of_its_guide_in_any_directory(
    installed: Path, tmp_path: Path
) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "right.py").write_text(example, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(example.replace("total > max_frame", "False"), encoding="utf-8")
    python = str(installed / "python")

    right = conformance(installed, tmp_path, "--", python, "-S", "right.py")
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout.endswith("\nfirst 0.1.0 conforms\n\n")
    assert re.search(r"^total +100/100 ", right.stdout, re.MULTILINE)

    wrong = conformance(installed, tmp_path, "--only", "limits/", "--", python, "-S", "wrong.py")
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "FAILED limits/good-then-too-large" in wrong.stdout


def test_the_suite_of_the_wheel_serves_the_application_and_has_an_implementation(
    installed: Path, tmp_path: Path
) -> None:
    own = conformance(installed, tmp_path, "--only", "http-app/")
    assert (own.returncode, own.stderr) == (0, "")
    assert re.search(r"^total +2/2 +- +- +-$", own.stdout, re.MULTILINE)
