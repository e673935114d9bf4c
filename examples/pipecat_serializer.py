"""A serializer for pipecat: what a pipeline hears and says, as a duplex session for the clients of this project.

    pip install objectstreaming pipecat-ai
    uvicorn --ws-ping-interval 0 your_bot:app

In the bot's WebSocket endpoint, for each connection:

    await websocket.accept(subprotocol="objectstreaming.v1")
    params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=DuplexSerializer())
    transport = FastAPIWebsocketTransport(websocket, params)

A client leaves a bot that has sent nothing for 45 s: let it say something when it is connected.
"""

from pipecat.frames import frames as pipecat
from pipecat.serializers.base_serializer import FrameSerializer

from objectstreaming import StreamDecoder, StreamEncoder
from objectstreaming.duplex import Modality, StreamEvent, Symbol, SymbolCoder

MESSAGES = (pipecat.OutputTransportMessageFrame, pipecat.OutputTransportMessageUrgentFrame)


class DuplexSerializer(FrameSerializer):
    """Sound, interruptions and messages. Each direction of a connection is one stream."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder, self._decoder = StreamEncoder(SymbolCoder()), StreamDecoder(SymbolCoder())
        self._open = self._encoder.open(heartbeat=60)  # pipecat sends none: the reader is to be patient

    async def serialize(self, frame: pipecat.Frame) -> bytes | None:
        if isinstance(frame, pipecat.OutputAudioRawFrame):
            wire = self._encoder.data(Symbol.audio(frame.audio, frame.sample_rate, frame.num_channels), None)
        elif isinstance(frame, pipecat.InterruptionFrame):
            wire = self._encoder.data(StreamEvent("interrupt"), None)
        elif isinstance(frame, MESSAGES) and not self.should_ignore_frame(frame):
            wire = self._encoder.data(StreamEvent("metadata", frame.message), None)
        elif isinstance(frame, pipecat.EndFrame | pipecat.CancelFrame) and not self._encoder.ended:
            wire = self._encoder.end()
        else:
            return None
        begin, self._open = self._open, b""
        return begin + wire

    async def deserialize(self, data: bytes) -> pipecat.Frame | None:
        for item, _ in self._decoder.feed(data):  # a message is a frame; of pings and the like nothing comes
            if isinstance(item, StreamEvent):
                if item.type == "metadata":
                    return pipecat.InputTransportMessageFrame(message=item.data)
                return pipecat.InterruptionFrame() if item.type == "interrupt" else None
            if item.modality is Modality.AUDIO:
                rate, channels = item.metadata["sample_rate"], item.metadata["channels"]
                return pipecat.InputAudioRawFrame(audio=item.data, sample_rate=rate, num_channels=channels)
            return pipecat.InputTextRawFrame(text=item.text_value or "")
        return None
