"""Level 3 of the conformance suite: a client that resumes, tried by a fault server."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from objectstreaming.conformance.mutants import RESUMES
from objectstreaming.conformance.resume_cases import RESUME_CASES
from objectstreaming.conformance.runner import check

ROOT = Path(__file__).parents[2]
PYTHON = [sys.executable, "-m", "objectstreaming.conformance.python_implementation"]


def test_every_requirement_is_a_sentence_of_the_document_and_its_section_exists() -> None:
    text = (ROOT / "spec" / "SPEC.md").read_text("utf-8")
    flat = " ".join(text.split())
    assert [case.requirement for case in RESUME_CASES if case.requirement not in flat] == []
    headings = set(re.findall(r"^#{2,3} ([0-9](?:\.[0-9])?)\.? ", text, re.MULTILINE))
    assert {case.spec for case in RESUME_CASES} <= headings


def test_every_case_has_an_id_of_its_own() -> None:
    assert len({case.id for case in RESUME_CASES}) == len(RESUME_CASES)
    assert all(re.fullmatch(r"resume-[a-z]+/[a-z0-9-]+", case.id) for case in RESUME_CASES)


def test_the_python_client_passes_every_case() -> None:
    report = check(PYTHON, stages=[3])
    assert [(result.id, result.why) for result in report.results if result.status != "passed"] == []
    assert report.score(3) == (len(RESUME_CASES), len(RESUME_CASES))
    assert report.restarts == 0


@pytest.mark.parametrize("name", RESUMES)
def test_a_mutant_is_caught(name: str) -> None:
    command = [sys.executable, "-m", "objectstreaming.conformance.mutants", name]
    report = check(command, only=RESUMES[name], silence=2.5)
    assert [(result.id, result.status) for result in report.results] == [(RESUMES[name], "failed")]
