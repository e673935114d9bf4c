"""The example for pipecat in a pipeline of pipecat's own, which says what it hears; and a client of this project.

make deployment runs it in an environment that has pipecat-ai: python tests/deployment/pipecat_bot.py
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame, OutputTransportMessageFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from objectstreaming.duplex import Modality, StreamEvent, Symbol, WebSocketClientStream

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from pipecat_serializer import DuplexSerializer

RATE = 16_000
app = FastAPI()


class Echo(FrameProcessor):
    """Says what it hears, and first that it does."""

    def __init__(self) -> None:
        super().__init__()
        self._has_begun = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            if not self._has_begun:
                self._has_begun = True
                await self.push_frame(OutputTransportMessageFrame(message={"hears": True}), direction)
            frame = OutputAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


@app.websocket("/bot")
async def bot(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="objectstreaming.v1")
    params = FastAPIWebsocketParams(
        audio_in_enabled=True,
        audio_in_sample_rate=RATE,
        audio_out_enabled=True,
        audio_out_sample_rate=RATE,
        serializer=DuplexSerializer(),
    )
    transport = FastAPIWebsocketTransport(websocket, params)
    worker = PipelineWorker(Pipeline([transport.input(), Echo(), transport.output()]))

    @transport.event_handler("on_client_disconnected")
    async def left(transport: object, websocket: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def talk(url: str) -> tuple[bytes, list[object]]:
    """Say 0.4 s; what comes back, and the messages."""
    said = bytes(range(1, 201)) * 64  # ten times the 40 ms that pipecat sends at once: it holds back what is less
    heard, messages = b"", []
    async with WebSocketClientStream(url) as stream:
        for start in range(0, len(said), 640):
            await stream.send(Symbol.audio(said[start : start + 640], RATE))
        async for item in stream.receive():
            if isinstance(item, StreamEvent) and item.type == "metadata":
                messages.append(item.data)
            elif isinstance(item, Symbol) and item.modality is Modality.AUDIO:
                heard += item.data.lstrip(b"\\0") if not heard else item.data
                if len(heard) >= len(said):
                    break
    assert heard[: len(said)] == said, "what came back is not what was said"
    return heard, messages


async def main() -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws_ping_interval=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  no event announces it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with asyncio.timeout(60):
        heard, messages = await talk(f"http://127.0.0.1:{port}/bot")
    assert messages == [{"hears": True}], messages
    print(f"pipecat: {len(heard)} bytes of sound came back, and {messages}")
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
