"""`python -m objectstreaming` is the `objectstreaming` command."""

from __future__ import annotations

from objectstreaming.cli import main

if __name__ == "__main__":
    main()
