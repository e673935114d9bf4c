"""Embeddings as arrays: each text's vector is one frame, 4 bytes a number, and arrives as a NumPy array.

uvicorn --app-dir examples embeddings:app
python examples/embeddings.py "a red fox" "a brown bear"
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import httpx
import numpy
from fastapi import FastAPI

from objectstreaming import NdarrayCoder
from objectstreaming.client import open_stream
from objectstreaming.server import FrameResponse

app = FastAPI()


def embed(text: str) -> numpy.ndarray[Any, Any]:
    """A stand-in for your model: how often each of the letters a to z occurs, at length 1. Shape (26,), float32."""
    vector = numpy.array([text.lower().count(chr(ord("a") + letter)) for letter in range(26)], dtype="<f4")
    return vector / max(float(numpy.linalg.norm(vector)), 1e-9)


@app.post("/embeddings")
def embeddings(texts: list[str]) -> FrameResponse:
    # This source is not async: it runs in a thread of its own, so that the model may compute in it.
    def vectors() -> Iterator[tuple[dict[str, Any], numpy.ndarray[Any, Any]]]:
        for index, text in enumerate(texts):
            yield {"index": index}, embed(text)

    return FrameResponse(vectors(), coder=NdarrayCoder())


def main(texts: list[str]) -> None:
    with (
        httpx.Client(base_url="http://127.0.0.1:8000") as http,
        open_stream(http, "POST", "/embeddings", json=texts, coder=NdarrayCoder()) as stream,
    ):
        vectors = numpy.stack([vector for header, vector in stream])  # stack copies; a vector itself is read-only
    print(vectors.shape, vectors.dtype)
    print(numpy.round(vectors @ vectors.T, 2))


if __name__ == "__main__":
    main(sys.argv[1:])
