"""The short, deterministic share of fuzz/native_and_pure.py for a test run: its seeds and mutations of them."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from implementations import needs_native

from objectstreaming import CODEC

needs_native()
if CODEC != "native":
    pytest.skip("the run on the native codec compares the two", allow_module_level=True)

path = Path(__file__).parents[2] / "fuzz" / "native_and_pure.py"
spec = importlib.util.spec_from_file_location("fuzz_native_and_pure", path)
assert spec is not None
assert spec.loader is not None
fuzz = importlib.util.module_from_spec(spec)
sys.modules["fuzz_native_and_pure"] = fuzz  # where dataclass looks
spec.loader.exec_module(fuzz)

SEEDS = list(fuzz.seeds())
ROUNDS = 2000


def test_both_agree_on_every_seed() -> None:
    assert len(SEEDS) > 1000
    for seed in SEEDS:
        fuzz.check(seed)


def test_and_on_mutations_of_them() -> None:
    chance = random.Random(1)
    for _ in range(ROUNDS):
        data = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            how = chance.randrange(4)
            if how == 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            elif how == 1:
                del data[at : at + chance.randint(1, 8)]
            elif how == 2:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            else:
                other = chance.choice(SEEDS)
                data[at:] = other[chance.randrange(len(other)) :]
        fuzz.check(bytes(data))


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz.PURE.frames.FrameDecoder, "offset", 0)
    with pytest.raises(AssertionError, match="reading_frames, step"):
        fuzz.check(SEEDS[0])
