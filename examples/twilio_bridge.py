"""A telephone for the reference server: Twilio Media Streams on one side, a duplex session on the other.
A pause ends a question. Who speaks during an answer stops it, and the server learns how much of it was heard.

    uvicorn --app-dir examples --port 8080 twilio_bridge:app   # TwiML: <Connect><Stream url="wss://HOST/call"/></Connect>
"""

import asyncio
from base64 import b64decode, b64encode

from fastapi import FastAPI, WebSocket

import wav_streaming as speech
from objectstreaming.duplex import Modality, StreamEvent, Symbol, WebSocketClientStream

SERVER, LOUD, PAUSE = "http://127.0.0.1:8000/duplex", 40, 35  # the mean code of speech; pieces of 20 ms
app = FastAPI()


@app.websocket("/call")
async def call(phone: WebSocket) -> None:
    sid, answer, sent, played_ms, quiet, stale = "", 0, 0, 0, PAUSE, False
    await phone.accept()

    async def play(pcm: bytes) -> None:
        nonlocal sent
        payload, sent = b64encode(speech.pcm_to_mulaw(pcm)).decode(), sent + len(pcm) // 2
        await phone.send_json({"event": "media", "streamSid": sid, "media": {"payload": payload}})
        await phone.send_json({"event": "mark", "streamSid": sid, "mark": {"name": f"{answer} {sent // 8}"}})

    async def speak(stream: WebSocketClientStream) -> None:
        nonlocal sent, stale
        resampler = None
        async for item in stream.receive():
            if isinstance(item, Symbol) and item.modality is Modality.AUDIO and not stale:
                resampler = resampler or speech.Resampler(item.metadata["sample_rate"], 8000)
                await play(resampler.feed(item.data))
            elif isinstance(item, StreamEvent) and item.type in ("stream_end", "interrupt", "error"):
                if resampler and not stale and (rest := resampler.flush()):
                    await play(rest)
                resampler, sent, stale = None, 0, False  # the next answer

    async with WebSocketClientStream(SERVER) as stream, asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(speak(stream))
        async for message in phone.iter_json():
            sid = message.get("streamSid", sid)
            if message["event"] == "mark" and message["mark"]["name"].startswith(f"{answer} "):
                played_ms = int(message["mark"]["name"].split()[1])
            elif message["event"] == "media":
                codes = b64decode(message["media"]["payload"])
                loud, before = sum(~code & 127 for code in codes) > LOUD * len(codes), quiet
                quiet = 0 if loud else quiet + 1
                if loud and before >= PAUSE:  # somebody begins to speak
                    await stream.send(StreamEvent("interrupt", {"played_ms": played_ms}))
                    await phone.send_json({"event": "clear", "streamSid": sid})
                    answer, played_ms, stale = answer + 1, 0, sent > 0
                if quiet < PAUSE:
                    await stream.send(Symbol.audio(speech.mulaw_to_pcm(codes), 8000))
                elif before < PAUSE:
                    await stream.send_end()
        speaking.cancel()
