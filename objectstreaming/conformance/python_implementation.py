"""The Python implementation under test: this package behind the protocol of README.md, and the example to copy.

    objectstreaming conformance -- python -m objectstreaming.conformance.python_implementation

Each function takes a request and gives the members of the answer. The layout, the limits and the coder are members of
the request, with defaults.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import objectstreaming
from objectstreaming import (
    Coder,
    EncodeError,
    Frame,
    FrameDecoder,
    FrameError,
    JsonCoder,
    Layout,
    Limits,
    MsgpackCoder,
    NdarrayCoder,
    ObjectStreamError,
    PayloadError,
    RawCoder,
    ResponseError,
    StreamDecoder,
    StreamEncoder,
    StreamError,
    encode_frame,
    strict_json,
)
from wav_streaming import TALAudio, TALCoder

Request = dict[str, Any]
Answer = dict[str, Any]

FEATURES = "decode encode stream fetch resume limits layout json bigint tal msgpack ndarray"
CODERS: dict[str, Coder[Any, Any]] = {
    "json": JsonCoder(),
    "raw": RawCoder(),
    "tal": TALCoder(),
    "msgpack": MsgpackCoder(),
    "ndarray": NdarrayCoder(),
}


def hello(request: Request) -> Answer:
    return {"name": f"python {objectstreaming.__version__}", "features": FEATURES}


def chunks_of(request: Request) -> Iterator[bytes]:
    """`-` is an empty chunk."""
    for word in request["chunks"].split():
        yield b"" if word == "-" else bytes.fromhex(word)


def limits_of(request: Request) -> Limits:
    defaults = Limits()
    return Limits(request.get("max_frame", defaults.frame), request.get("max_header", defaults.header))


def layout_of(request: Request) -> Layout:
    return Layout(request.get("byte_length", 4), request.get("byte_order", "little"))


def decode(request: Request) -> Answer:
    """Frames, each with its header read; the error, if any, and how many bytes had been fed when it was raised."""
    decoder = FrameDecoder(limits_of(request), layout_of(request))
    words: list[str] = []
    fed = 0

    def take(frame: Frame) -> None:
        frame.header  # noqa: B018 - reads it: InvalidHeader is raised here
        words.append(f"{frame.header_bytes.hex()}:{frame.payload.hex()}")

    error = ""
    try:
        for chunk in chunks_of(request):
            fed += len(chunk)
            for frame in decoder.feed(chunk):
                take(frame)
        decoder.finish()
    except FrameError as failure:
        error = f"{failure.code} {failure.index} {failure.offset} {fed}"
    return {"frames": " ".join(words), "error": error}


def encode(request: Request) -> Answer:
    """One frame: of the bytes as they are, or, where a coder is named, as that coder's message in a stream."""
    header, payload = bytes.fromhex(request["header"]), bytes.fromhex(request["payload"])
    try:
        if "coder" not in request:
            return {"wire": encode_frame(header, payload, layout=layout_of(request)).hex(), "error": ""}
        encoder = StreamEncoder(CODERS[request["coder"]], v=None)
        members = json.loads(header)
        if request["coder"] == "tal":
            return {"wire": encoder.data(TALAudio.from_dict(members), payload).hex(), "error": ""}
        return {"wire": encoder.data(members, json.loads(payload)).hex(), "error": ""}
    except EncodeError as failure:
        return {"wire": "", "error": failure.code}


def stream(request: Request) -> Answer:
    """Messages, control frames handled: `!index:offset` stands for one whose payload was refused."""
    coder = CODERS[request["coder"]]
    require_end = {"yes": True, "no": False}.get(request.get("require_end", ""))
    decoder = StreamDecoder(coder, limits=limits_of(request), require_end=require_end)
    words: list[str] = []
    fed = 0
    end, error, message = "", "", ""

    def take_all() -> None:
        while True:
            try:
                item = decoder.next_message()
            except PayloadError as refused:
                words.append(f"!{refused.index}:{refused.offset}")
                continue
            if item is None:
                return
            words.append(spelled(request["coder"], *item))

    try:
        for chunk in chunks_of(request):
            fed += len(chunk)
            decoder.feed(chunk)
            take_all()
        decoder.finish()
    except StreamError as failure:
        end, message = f"error:{failure.code}", failure.message
    except ObjectStreamError as failure:
        # A protocol error has no offset; a missing end has neither an index nor an offset.
        index, offset = getattr(failure, "index", "-"), getattr(failure, "offset", "-")
        error = f"{failure.code} {index} {offset} {fed}"
    return {
        "frames": " ".join(words),
        "end": end or ("ok" if decoder.ended else "missing"),
        "error": error,
        "position": decoder.position,
        "trailers": strict_json.dumps(decoder.trailers or {}).hex(),
        "message": message.encode().hex(),
    }


def fetch(request: Request) -> Answer:
    """A stream over HTTP, read by the client: the answer is that of `stream`, without the bytes fed."""
    answer = read(request, {})
    del answer["place"]
    return answer


def resume(request: Request) -> Answer:
    """A stream that the client picks up again where the connection broke: as `fetch`, and the place of the stream."""
    return read(request, {"resume": request.get("patience", True)})


def read(request: Request, options: dict[str, Any]) -> Answer:
    """The messages of a request over HTTP, and how they ended."""
    import httpx

    from objectstreaming.client import Place, open_stream

    global client
    client = client or httpx.Client(trust_env=False)
    where: tuple[str, ...] = ()
    if "position" in request:
        options |= {"place": Place(request["url"], request["position"])}
    else:
        where = request["method"], request["url"]
    if "body" in request:
        headers = {"content-type": request["content_type"]}
        options |= {"content": bytes.fromhex(request["body"]), "headers": headers}
    words: list[str] = []
    position, trailers, place = request.get("position", 0), None, None
    end, error, message = "", "", ""
    try:
        with open_stream(
            client, *where, coder=CODERS[request["coder"]], limits=limits_of(request), **options
        ) as messages:
            try:
                while True:
                    try:
                        for item in messages:
                            words.append(spelled(request["coder"], *item))
                            if len(words) == request.get("stop_after"):
                                messages.stop()
                            if len(words) == request.get("leave_after"):
                                break
                        break
                    except PayloadError as refused:
                        words.append(f"!{refused.index}:{refused.offset}")
            finally:
                position, trailers, place = messages.position, messages.trailers, messages.place
    except httpx.HTTPError:
        error = "no_response"
    except ResponseError as failure:
        error = f"http_status:{failure.status}:{failure.code}"
    except StreamError as failure:
        end, message = f"error:{failure.code}", failure.message
    except ObjectStreamError as failure:
        error = f"{failure.code} {getattr(failure, 'index', '-')} {getattr(failure, 'offset', '-')}"
    return {
        "frames": " ".join(words),
        "end": end or ("missing" if trailers is None else "ok"),
        "error": error,
        "position": position,
        "trailers": strict_json.dumps(trailers or {}).hex(),
        "message": message.encode().hex(),
        "place": f"{place.url} {place.position}" if place else "",
    }


client: Any = None  # one connection pool for all requests, made at the first


def spelled(coder: str, header: Any, payload: Any) -> str:
    """`header:payload` in hex: the header as JSON, the payload as it is on the wire."""
    if coder == "tal":
        header = header.to_dict()
    if coder == "ndarray":
        header = {**header, "dtype": payload.dtype.str, "shape": list(payload.shape)}
    if coder == "json":
        payload = strict_json.dumps(payload)
    elif coder == "ndarray":
        payload = payload.tobytes()
    elif coder == "msgpack":
        payload = MsgpackCoder().encode({}, payload)[10:]
    return f"{strict_json.dumps(header).hex()}:{payload.hex()}"


OPS: dict[str, Callable[[Request], Answer]] = {
    "hello": hello,
    "decode": decode,
    "encode": encode,
    "stream": stream,
    "fetch": fetch,
    "resume": resume,
}


def serve(ops: dict[str, Callable[[Request], Answer]]) -> None:
    """Answer each line of the input with a line, until the input ends."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        op = ops.get(request["op"])
        answer = op(request) if op else {"skipped": f"no op {request['op']}"}
        sys.stdout.write(json.dumps({"id": request["id"], **answer}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(OPS)
