"""Section 3: control frames, the end, the state table."""

from __future__ import annotations

from ..case_writer import DATA, OPEN, OTHER, PING, case, control, end, frame, suite, u32
from .sentences import (
    AFTER,
    AFTER_BYTES,
    AT,
    CODER,
    COUNT,
    DETAILS,
    ELEVEN,
    EOF_INSIDE,
    ERROR,
    FRAMES,
    GOOD_FIRST,
    HEARTBEAT,
    INCOMPLETE,
    METADATA,
    NOT_JSON,
    NULL,
    NULL_ERROR,
    OBJECT,
    ORDER,
    PAYLOAD,
    PING_ANY,
    PLAIN,
    POSITION,
    RESUME,
    RESUMED,
    SIXTEEN,
    SPELLING,
    TRAILERS,
    TYPE,
    TYPE_FIRST,
    UNKNOWN,
    UNKNOWN_TYPE,
    VERSION,
)

suite("control", "stream", "json", coder="json")
case("control", "ping-dropped", "3.1", ELEVEN, PING + DATA + end(1), "ok")
case("control", "space-after-the-brace", "3.1", SPELLING, frame('{ "$stream":{"type":"ping"}}', "1"), "missing")
case("control", "space-before-the-colon", "3.1", SPELLING, frame('{"$stream" :{"type":"ping"}}', "1"), "missing")
case(
    "control",
    "member-in-a-later-place",
    "3.1",
    SPELLING,
    frame('{"a":1,"$stream":{"type":"end","frames":0}}', "1"),
    "missing",
)
case("control", "name-in-escapes", "3.1", SPELLING, frame('{"\\u0024stream":{"type":"ping"}}', "1"), "missing")
case("control", "longer-name", "3.1", SPELLING, frame('{"$streams":{"type":"ping"}}', "1"), "missing")
case("control", "other-case", "3.1", SPELLING, frame('{"$Stream":{"type":"ping"}}', "1"), "missing")
case("control", "space-after-the-colon", "3.1", ELEVEN, frame('{"$stream": {"type":"ping"}}', "{}") + end(0), "ok")
case("control", "prefix-and-nothing-more", "3.1", NOT_JSON, frame('{"$stream":', "{}"), "invalid_header")
case(
    "control", "prefix-and-bad-json", "3.1", NOT_JSON, DATA + frame('{"$stream":{"type":ping}}', "{}"), "invalid_header"
)
case("control", "bad-utf8", "3.1", NOT_JSON, frame(b'{"$stream":{"type":"\xff"}}', "{}"), "invalid_header")
for name, value in (
    ("string", '"ping"'),
    ("null", "null"),
    ("array", '[{"type":"ping"}]'),
    ("number", "1"),
    ("without-type", "{}"),
    ("type-null", '{"type":null}'),
    ("type-number", '{"type":1}'),
    ("type-object", '{"type":{}}'),
):
    case("control", f"value-{name}", "3.1", TYPE, DATA + frame('{"$stream":' + value + "}", "{}"), "invalid_control")
case(
    "control",
    "unknown-members",
    "3.1",
    UNKNOWN,
    frame('{"$stream":{"type":"open","v":1,"w":2},"x":3}', "{}")
    + frame('{"$stream":{"type":"ping","at":1},"x":[]}', "{}")
    + frame('{"$stream":{"type":"end","frames":0,"y":null},"z":0}', "{}"),
    "ok",
)
case(
    "control",
    "payload-not-json",
    "3.1",
    PAYLOAD,
    control('"type":"open","v":1', b"\xff\0") + control('"type":"end","frames":0', b"]"),
    "ok",
)
case("control", "payload-empty", "3.1", PAYLOAD, control('"type":"ping"', b"") + end(0), "ok")
case(
    "control",
    "unknown-type-passed-over",
    "3.3",
    UNKNOWN_TYPE,
    OTHER + DATA + OTHER + end(1),
    "ok",
)
case(
    "control",
    "type-is-case-sensitive",
    "3.3",
    UNKNOWN_TYPE,
    control('"type":"END","frames":7') + end(0),
    "ok",
)
case(
    "control",
    "pings-all-the-way",
    "3.3",
    PING_ANY,
    PING * 3 + DATA + PING + DATA + PING * 2 + end(2),
    "ok",
)
case(
    "control",
    "open-with-everything",
    "3.2",
    VERSION,
    control('"type":"open","v":1,"coder":"json","heartbeat":0.5,"metadata":{"id":"q7"}') + DATA + end(1),
    "ok",
)
for name, members in (
    ("2", '"v":2'),
    ("0", '"v":0'),
    ("absent", '"coder":"json"'),
    ("string", '"v":"1"'),
    ("true", '"v":true'),
    ("null", '"v":null'),
):
    case("control", f"open-v-{name}", "3.2", VERSION, control('"type":"open",' + members) + DATA, "invalid_control")
case(
    "control", "open-coder-other", "3.2", CODER, control('"type":"open","v":1,"coder":"tal"') + DATA, "invalid_control"
)
case("control", "open-coder-other-case", "3.2", CODER, control('"type":"open","v":1,"coder":"JSON"'), "invalid_control")
case("control", "open-coder-null", "3.2", NULL, control('"type":"open","v":1,"coder":null'), "invalid_control")
case("control", "open-coder-number", "3.2", CODER, control('"type":"open","v":1,"coder":1'), "invalid_control")
for name, value in (("0", "0"), ("negative", "-1"), ("string", '"15"'), ("true", "true"), ("array", "[15]")):
    case(
        "control",
        f"open-heartbeat-{name}",
        "3.2",
        HEARTBEAT,
        control('"type":"open","v":1,"heartbeat":' + value),
        "invalid_control",
    )
for name, value in (
    ("position-negative", '"position":-1'),
    ("position-string", '"position":"7"'),
    ("position-fraction", '"position":1.5'),
    ("position-true", '"position":true'),
    ("position-null", '"position":null'),
    ("resume-number", '"resume":7'),
    ("resume-object", '"resume":{}'),
    ("resume-null", '"resume":null'),
):
    opening = control('"type":"open","v":1,' + value)
    case("control", f"open-{name}", "3.2", RESUME, opening + DATA + end(1), "invalid_control")
case(
    "control",
    "open-position",
    "3.6",
    RESUMED,
    control('"type":"open","v":1,"resume":"/streams/7","position":41') + DATA + end(1),
    "ok",
)
case(
    "control",
    "open-position-cut",
    "3.6",
    RESUMED,
    control('"type":"open","v":1,"position":41') + DATA,
    "stream_incomplete",
)
case("control", "open-position-0", "3.6", RESUMED, control('"type":"open","v":1,"position":0') + DATA + end(1), "ok")
case(
    "control",
    "open-position-is-not-the-count",
    "3.6",
    RESUMED,
    control('"type":"open","v":1,"position":1') + DATA + end(2),
    "count_mismatch",
)
_TIMED = {"open": '"type":"open","v":1', "ping": '"type":"ping"', "end": '"type":"end","frames":0'}
for kind, members in _TIMED.items():
    rest = b"" if kind == "end" else end(0)
    for name, value in (("0", "0"), ("microseconds", "250000"), ("an-hour", "3600000000")):
        case("control", f"{kind}-at-{name}", "3.3", AT, control(f'{members},"at":{value}') + rest, "ok")
    for name, value in (
        ("negative", "-1"),
        ("string", '"7"'),
        ("fraction", "0.25"),
        ("true", "true"),
        ("null", "null"),
    ):
        case("control", f"{kind}-at-{name}", "3.3", AT, control(f'{members},"at":{value}') + rest, "invalid_control")
case(
    "control",
    "end-at-wrong-with-an-error",
    "3.3",
    AT,
    control('"type":"end","frames":0,"error":{"code":"internal"},"at":"7"'),
    "invalid_control",
)
case("control", "other-at-string", "3.3", UNKNOWN_TYPE, control('"type":"weather","at":"noon"') + end(0), "ok")
case("control", "open-heartbeat-null", "3.2", NULL, control('"type":"open","v":1,"heartbeat":null') + end(0), "ok")
for name, value in (("array", "[]"), ("string", '"x"'), ("null", "null"), ("number", "1")):
    case(
        "control",
        f"open-metadata-{name}",
        "3.2",
        METADATA,
        control('"type":"open","v":1,"metadata":' + value),
        "invalid_control",
    )
for name, value in (
    ("absent", ""),
    ("negative", ',"frames":-1'),
    ("string", ',"frames":"1"'),
    ("null", ',"frames":null'),
    ("true", ',"frames":true'),
    ("fraction", ',"frames":1.5'),
    ("array", ',"frames":[1]'),
):
    case("control", f"end-frames-{name}", "3.4", FRAMES, DATA + control('"type":"end"' + value), "invalid_control")
for name, value in (("array", "[]"), ("string", '"x"'), ("null", "null"), ("number", "1")):
    case("control", f"end-trailers-{name}", "3.4", TRAILERS, DATA + end(1, ',"trailers":' + value), "invalid_control")
for name, value in (
    ("string", '"not_found"'),
    ("number", "5"),
    ("array", '["not_found"]'),
    ("true", "true"),
    ("false", "false"),
    ("empty-object", "{}"),
    ("code-null", '{"code":null}'),
    ("code-number", '{"code":404}'),
    ("message-number", '{"code":"internal","message":1}'),
    ("message-null", '{"code":"internal","message":null}'),
):
    case("control", f"end-error-{name}", "3.4", ERROR, DATA + end(1, ',"error":' + value), "invalid_control")
case("control", "end-error-null", "3.4", NULL_ERROR, DATA + end(1, ',"error":null'), "invalid_control")

suite("end", "stream", "json", coder="json")
for code in (
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
):
    case(
        "end",
        f"error-{code.replace('_', '-')}",
        "3.4",
        SIXTEEN,
        DATA + end(1, f',"error":{{"code":"{code}","message":"it is {code}"}}'),
        f"error:{code}",
    )
case(
    "end",
    "error-of-a-later-version",
    "3.4",
    SIXTEEN,
    end(0, ',"error":{"code":"on_fire","message":"hot"}'),
    "error:unknown",
)
case("end", "error-without-message", "3.4", ERROR, end(0, ',"error":{"code":"aborted"}'), "error:aborted")
case(
    "end",
    "error-with-details",
    "3.4",
    DETAILS,
    end(0, ',"error":{"code":"aborted","message":"é\\n","details":[{"a":null}]}'),
    "error:aborted",
)
case(
    "end",
    "error-and-trailers",
    "3.4",
    TRAILERS,
    DATA + end(1, ',"trailers":{"tokens":7},"error":{"code":"internal","message":"x"}'),
    "error:internal",
)
case("end", "error-and-wrong-count", "3.4", COUNT, DATA + end(2, ',"error":{"code":"internal"}'), "count_mismatch")
case("end", "null-error-and-wrong-count", "3.4", COUNT, DATA + end(2, ',"error":null'), "count_mismatch")
case("end", "trailers", "3.4", TRAILERS, DATA + end(1, ',"trailers":{"tokens":7,"by":{"model":"é"}}'), "ok")
case("end", "trailers-empty", "3.4", TRAILERS, end(0, ',"trailers":{}'), "ok")
case("end", "of-nothing", "3.4", FRAMES, end(0), "ok")
case("end", "of-three", "3.4", FRAMES, OPEN + DATA * 3 + end(3), "ok")
case("end", "one-too-few", "3.4", COUNT, DATA * 2 + end(3), "count_mismatch")
case("end", "one-too-many", "3.4", COUNT, DATA * 2 + end(1), "count_mismatch")
case(
    "end",
    "counts-no-control-frames",
    "3.6",
    POSITION,
    OPEN + PING + DATA + PING + OTHER + DATA + end(2),
    "ok",
)
case("end", "counting-control-frames-is-wrong", "3.4", COUNT, OPEN + PING + DATA + end(3), "count_mismatch")
case("end", "huge-count", "3.4", COUNT, DATA + end(4294967297), "count_mismatch")
case("end", "missing-after-open", "3.4", INCOMPLETE, OPEN, "stream_incomplete")
case("end", "missing-after-data", "3.4", INCOMPLETE, OPEN + DATA * 2, "stream_incomplete")
case("end", "missing-after-ping", "3.4", PLAIN, DATA + PING, "stream_incomplete")
case("end", "missing-after-unknown-type", "3.4", PLAIN, OTHER + DATA, "stream_incomplete")
case("end", "plain-needs-none", "3.4", PLAIN, DATA * 2, "missing")
case("end", "plain-of-nothing", "3.4", PLAIN, b"", "missing")
case("end", "required-by-the-media-type", "3.4", PLAIN, DATA * 2, "stream_incomplete", require_end=True)
case("end", "required-of-nothing", "3.4", PLAIN, b"", "stream_incomplete", require_end=True)
case("end", "required-and-there", "3.4", PLAIN, DATA + end(1), "ok", require_end=True)
case("end", "not-required", "3.4", PLAIN, OPEN + DATA, "missing", require_end=False)
case("end", "cut-inside-the-end", "2.2", EOF_INSIDE, OPEN + DATA + end(1)[:-3], "truncated_frame")
case("end", "cut-inside-data", "2.2", EOF_INSIDE, OPEN + DATA + DATA[:-1], "truncated_frame")
case(
    "end",
    "bytes-after-it",
    "3.4",
    AFTER_BYTES,
    DATA + end(1) + b"\n",
    "truncated_frame",
)
case(
    "end",
    "t-0-after-it",
    "3.4",
    AFTER_BYTES,
    DATA + end(1) + u32(0),
    "invalid_length",
)
case("end", "framing-error-before-it", "2.2", GOOD_FIRST, OPEN + DATA + frame("{}", h=9) + end(1), "invalid_length")
case("end", "header-not-json", "2.3", OBJECT, OPEN + DATA + frame("[]", "1") + end(2), "invalid_header")

suite("states", "stream", "json", coder="json")
EVENTS = {"open": OPEN, "data": DATA, "ping": PING, "other": OTHER}
for event, wire in EVENTS.items():
    count = int(event == "data")
    case("states", f"start-{event}", "3.5", ORDER, wire + end(count), "ok")
    for before, first in EVENTS.items():
        wants = "invalid_control" if event == "open" else "ok"
        case(
            "states",
            f"streaming-after-{before}-{event}",
            "3.5",
            ORDER,
            first + wire + end(count + int(before == "data")),
            wants,
        )
    case("states", f"ended-{event}", "3.5", AFTER, OPEN + DATA + end(1) + wire, "frame_after_end")
    case("states", f"ended-at-once-{event}", "3.5", AFTER, end(0) + wire, "frame_after_end")
case("states", "start-end", "3.5", ORDER, end(0), "ok")
case("states", "ended-end", "3.5", AFTER, OPEN + end(0) + end(0), "frame_after_end")
case(
    "states",
    "ended-open-of-another-version",
    "3.5",
    TYPE_FIRST,
    end(0) + control('"type":"open","v":2'),
    "frame_after_end",
)
case(
    "states",
    "ended-end-with-a-wrong-count",
    "3.5",
    TYPE_FIRST,
    end(0) + end(9),
    "frame_after_end",
)
case(
    "states",
    "ended-control-without-type",
    "3.5",
    TYPE_FIRST,
    end(0) + control('"x":1'),
    "invalid_control",
)
case("states", "ended-data-with-a-bad-header", "3.5", AFTER, end(0) + frame("[]", "1"), "frame_after_end")
