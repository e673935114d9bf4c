"""A client in five lines, for server.py. Run it: python examples/client.py how are you"""

import sys

import httpx

from objectstreaming import JsonCoder
from objectstreaming.client import open_stream

url = "http://127.0.0.1:8000/ask"
with (
    httpx.Client() as http,
    open_stream(http, "POST", url, params={"question": " ".join(sys.argv[1:])}, coder=JsonCoder()) as stream,
):
    for _, payload in stream:
        print(payload["answer"])
