"""A chat with a page whose answers survive a broken connection and a reload: each word once, none lost.

uvicorn --app-dir examples resumable_chat:app
Then open http://127.0.0.1:8000, ask, and reload the page in the middle of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from objectstreaming import JsonCoder
from objectstreaming.server import FrameResponse
from objectstreaming.store import MemoryStore

coder = JsonCoder()
store = MemoryStore()
app = FastAPI(lifespan=store.lifespan)
app.include_router(store.router("/streams", coders=[coder]))


async def words(question: str) -> AsyncIterator[tuple[dict[str, str], str]]:
    for word in f"You asked: {question} That takes a while to say.".split():
        yield {}, word + " "
        await asyncio.sleep(0.2)


@app.post("/chat")
async def chat(question: str) -> FrameResponse:
    return FrameResponse(words(question), coder=coder, store=store)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return """<!doctype html><meta charset="utf-8"><title>Chat</title><link rel="icon" href="data:,">
<form><input name="question" value="Why?"> <button>Ask</button> <button type="button">Stop</button></form>
<p></p>
<script>
const answer = document.querySelector("p"), [ask, stop] = document.querySelectorAll("button");
function read(url) {  // EventSource goes on where it was when its connection breaks
  answer.textContent = answer.className = "";
  const stream = new EventSource(url);
  stream.onmessage = (event) => { answer.textContent += JSON.parse(event.data).payload; };
  stream.addEventListener("end", () => { stream.close(); answer.className = "complete"; });
  stream.addEventListener("error", (event) => {
    if (event.data) { stream.close(); answer.className = JSON.parse(event.data).code; }
  });
}
document.forms[0].onsubmit = async (event) => {
  event.preventDefault();
  const response = await fetch("/chat?" + new URLSearchParams(new FormData(event.target)), { method: "POST" });
  await response.body.cancel();  // the answer goes on, and is read below
  read(location.hash = response.headers.get("Content-Location"));
};
stop.onclick = () => fetch(location.hash.slice(1), { method: "DELETE" });
if (location.hash) read(location.hash.slice(1));  // after a reload
</script>"""
