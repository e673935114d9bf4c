"""`objectstreaming serve` takes its settings from options, and else from the environment."""

from __future__ import annotations

from typing import Any

import pytest
from command_line import run

from objectstreaming.cli import serving

ENVIRONMENT = {
    "OBJECTSTREAMING_CHAT": "http://127.0.0.1:1/v1",
    "OBJECTSTREAMING_MODEL": "small",
    "OBJECTSTREAMING_VOICE": "af_sarah",
    "OBJECTSTREAMING_SAMPLE_RATE": "24000",
}


def test_options_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(serving, "serve", lambda **options: seen.update(options))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert run("serve", "--voice", "bm_george") == 0
    names = ("chat", "model", "voice", "sample_rate")
    assert [seen[name] for name in names] == ["http://127.0.0.1:1/v1", "small", "bm_george", 24_000]
