"""A chat endpoint in front of any OpenAI-compatible model: its tokens as frames, and its failures as errors.

export OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_API_KEY=none MODEL=llama3.2
uvicorn --app-dir examples chat_proxy:app
curl -N -H 'Accept: application/jsonl' --json '{"messages": [{"role": "user", "content": "Hi"}]}' localhost:8000/chat
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from pydantic import BaseModel

from objectstreaming import JsonCoder, StreamError
from objectstreaming.server import FrameResponse, error_handlers


class Chat(BaseModel):
    messages: list[dict[str, Any]]


class Token(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    key = os.environ.get("OPENAI_API_KEY", "none")
    url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as model:
        yield {"model": model}


app = FastAPI(lifespan=lifespan, exception_handlers=error_handlers)


@app.post("/chat", response_class=FrameResponse.of(JsonCoder(payload=Token)))
async def chat(question: Chat, request: Request) -> AsyncIterator[tuple[dict[str, Any], Token]]:
    body = {"model": os.environ.get("MODEL", "gpt-4o-mini"), "messages": question.messages, "stream": True}
    try:
        async with request.state.model.stream("POST", "chat/completions", json=body) as response:
            if response.status_code != 200:
                raise StreamError("unavailable", f"the model answered with status {response.status_code}")
            async for line in response.aiter_lines():
                data = line.removeprefix("data:").strip()
                if data == "[DONE]":
                    return
                choices = json.loads(data)["choices"] if line.startswith("data:") else []
                if choices and (text := choices[0]["delta"].get("content")):
                    yield {}, Token(text=text)
    except httpx.HTTPError as error:
        raise StreamError("unavailable", "the model cannot be reached") from error
    raise StreamError("unavailable", "the model's answer was cut")  # it ended without [DONE]
