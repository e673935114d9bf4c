"""What a host runs: every workflow calls targets that the Makefile has, and the issue forms are forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
TARGETS = set(re.findall(r"^([\w.$()/-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) | {".venv/.dev"}

NEED_PROGRAMS = {"python", "clients", "conformance", "docs", "packages"}
"""The targets that fail on a host where a program is missing."""


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_its_commands_are_targets_of_the_makefile(path: Path) -> None:
    for job in load(path)["jobs"].values():
        for step in job.get("steps", ()):
            command = re.fullmatch(r"(?:sudo )?make((?: [^=\s]+)+)(?: PYTHON=\w+)?", step.get("run", ""))
            if command:
                assert set(command[1].split()) <= TARGETS, step
            else:
                assert "make" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_may_only_read_unless_a_job_says_more_and_no_job_runs_for_ever(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 60, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_programs_are_installed_before_the_tests_that_need_them(path: Path) -> None:
    for name, job in load(path)["jobs"].items():
        run = [step["run"] for step in job.get("steps", ()) if "run" in step]
        if job.get("env", {}).get("CI") != "false" and (NEED_PROGRAMS & set(" ".join(run).split())):
            assert run.index("sudo make programs") < max(map(run.index, run)), name


def test_every_check_of_make_test_is_run_on_the_host() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [checks] = re.findall(r"^test: (.*)$", makefile, re.MULTILINE)
    run = " ".join(path.read_text() for path in WORKFLOWS)
    assert [check for check in checks.split() if not re.search(rf"make [^\n]*\b{check}\b", run)] == []


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_questions_that_have_a_label(path: Path) -> None:
    form = load(path)
    assert form["name"]
    assert form["description"]
    questions = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(question["attributes"]["label"] for question in questions)
    assert len({question["id"] for question in questions}) == len(questions) > 0


def test_the_dev_container_installs_the_programs_that_the_tests_need() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    [wanted] = re.findall(r"^\ttests/programs (espeak.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(wanted.split()) <= set(container["onCreateCommand"].split())
