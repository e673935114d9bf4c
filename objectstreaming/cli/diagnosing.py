"""`objectstreaming doctor`: what stands between a server and its reader.

The server has the probe route `objectstreaming.server.doctor_route`; here its streams are read as a client reads them.
The delay of a frame is its time of arrival, less the time when it was sent by the server's clock, less the least of
these differences: so no clocks need to be in step.

Any other endpoint can be examined too, with one request and fewer checks: of its frames only the control frames say
when they were sent (`at`, SPEC section 3.3).

**Exit statuses.** 0: nothing bad was found. 1: something bad was. 5: there is no probe, or no stream, at that URL.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import httpx

from ..errors import ResponseError
from ..media_type import parse_media_type
from ..protocol import MEDIA_TYPE, PLAIN_MEDIA_TYPE
from .errors import NO_STREAM, CommandError
from .recordings import Piece
from .remedies import proxy_of, remedies_for
from .streams import CUT, Request, Seen, Watch, sent, stream_of
from .terminal import coloured
from .urls import http_url

__all__ = [
    "Diagnosis",
    "Examination",
    "Finding",
    "Reading",
    "diagnose",
    "diagnose_endpoint",
    "doctor",
    "held_back",
    "read",
]

Verdict = Literal["ok", "warning", "bad", "unknown"]

HELD_SECONDS: Final = 0.08
"""Delays that differ by more than this are a hop's; those of the network and of a busy server differ by a few ms."""
BUFFERED_SECONDS: Final = 0.3
"""Beyond this a hop collects frames; HAProxy, which waits 200 ms for more to send, stays below."""

_SURELY_HELD_SECONDS: Final = 1.0

_TRIES: Final = 3
_MOST_FRAMES: Final = 1_000
_FIRST_POLL_SECONDS: Final = 0.05
_LEAVING_SECONDS: Final = 9.0
"""Longer than the probe's stream for leaving runs."""

_MARGIN: Final = 0.8
"""How much shorter than a hop's patience a heartbeat must be: it may come late."""

_LATE: Final = 1.5
"""How many heartbeats of silence are a fault."""

_SENT: Final = {"last-event-id": "7"}
_NEEDED: Final = {
    "content-location": "a client cannot resume a stream",
    "stream-position": "a client cannot learn how long a stored stream is",
    "stream-ended": "a client cannot learn whether a stored stream has ended",
    "retry-after": "a client does not know how long to wait",
}
_SUSPECTS: Final = {30: "CloudFront", 60: "nginx or an ALB", 100: "Cloudflare", 125: "Cloudflare"}


@dataclass(frozen=True)
class Finding:
    """What one check has found, and the lines that help, by the program that they are for."""

    check: str
    verdict: Verdict
    text: str
    remedies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """All findings about the way to one URL."""

    url: str
    http: str
    server: str
    proxy: str
    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings; `unknown` counts as a warning."""
        verdicts = {finding.verdict for finding in self.findings}
        return "bad" if "bad" in verdicts else "warning" if verdicts - {"ok"} else "ok"

    def as_json(self) -> dict[str, Any]:
        """As members of JSON."""
        findings = [
            {"check": each.check, "verdict": each.verdict, "text": each.text, "remedies": dict(each.remedies)}
            for each in self.findings
        ]
        return {
            "url": self.url,
            "http": self.http,
            "server": self.server,
            "proxy": self.proxy,
            "verdict": self.verdict,
            "findings": findings,
        }


@dataclass
class Reading:
    """A stream as it was read: headers, frames with their times, and how it ended."""

    http: str
    headers: httpx.Headers
    head_after: float
    frames: list[Seen] = field(default_factory=list)
    reads: int = 0
    status: int = 0
    verdict: str = ""
    seconds: float = 0.0

    @property
    def sent(self) -> list[tuple[float, float]]:
        """When each control frame was sent, by the server's clock, where it says so, and when it came; in seconds."""
        found = ((seen, (seen.control or {}).get("at")) for seen in self.frames)
        return [(at / 1e6, seen.t or 0.0) for seen, at in found if isinstance(at, int)]

    @property
    def heartbeat(self) -> float | None:
        """The heartbeat that the server has announced."""
        found = [(seen.control or {}).get("heartbeat") for seen in self.frames if seen.kind == "open"]
        return found[0] if found and isinstance(found[0], int | float) else None

    @property
    def longest_gap(self) -> float:
        """The longest time between two frames."""
        return max((seen.gap or 0.0 for seen in self.frames), default=0.0)

    @property
    def messages(self) -> list[tuple[dict[str, Any], float]]:
        """The headers of the data frames, and when each came."""
        return [(seen.frame.header, seen.t or 0.0) for seen in self.frames if seen.kind == "data"]


def read(url: str, request: Request) -> Reading:
    """Read a stream to its end. Raises `CommandError` with status 5 if there is none."""
    with sent(url, request) as answer:
        response = answer.response
        reading = Reading(response.http_version, response.headers, time.perf_counter() - answer.began)
        stream = stream_of(answer)
        pieces = stream.pieces

        def counted() -> Iterator[Piece]:
            for piece in pieces:
                reading.reads += 1
                yield piece

        stream.pieces = counted()
        watch = Watch(stream)
        for seen in watch:
            reading.frames.append(seen)
            if len(reading.frames) >= _MOST_FRAMES:
                raise CommandError(f"{url} gives more frames than a probe: it is none", status=NO_STREAM)
        reading.seconds = time.perf_counter() - answer.began
        reading.status, reading.verdict = watch.status, watch.verdict
    return reading


def held_back(reading: Reading) -> float:
    """The longest delay of a frame, in seconds, over that of the fastest.

    Raises `CommandError` if the frames do not say when they were sent.
    """
    try:
        delays = [at - float(header["sent"]) for header, at in reading.messages]
        return max(delays) - min(delays)
    except (KeyError, TypeError, ValueError):
        raise CommandError("the stream is not that of objectstreaming.server.doctor_route", status=NO_STREAM) from None


@dataclass(frozen=True)
class Examination:
    """The checks of one URL."""

    url: str
    request: Request
    arrived: Mapping[str, Any]
    """How the request arrived at the server, as the probe says."""
    head: Reading
    """A response from there."""
    proxy: str

    def probe(self, name: str, **parameters: str) -> str:
        return _with(self.url, probe=name, **parameters)

    def finding(self, check: str, verdict: Verdict, text: str) -> Finding:
        return Finding(check, verdict, text, {} if verdict == "ok" else remedies_for(check, self.proxy))

    def times(self) -> list[Finding]:
        """The probe's frames: version, compression, buffering, end; and leaving, where frames come at once."""
        reading = read(self.url, self.request)
        held = held_back(reading)
        # A busy machine delays a frame now and then, a hop each time.
        for _ in range(_TRIES - 1):
            if not HELD_SECONDS < held < _SURELY_HELD_SECONDS:
                break
            again = read(self.url, self.request)
            if held_back(again) < held:
                reading, held = again, held_back(again)
        findings = [self.version(reading), self.compression(reading), self.buffering(reading, held), self.end(reading)]
        if held > BUFFERED_SECONDS:
            return [*findings, self.finding("leaving", "unknown", "not tried: a hop collects frames")]
        return [*findings, self.leaving()]

    def version(self, reading: Reading) -> Finding:
        kind = parse_media_type(reading.headers.get("content-type", ""))
        if kind is not None and kind.name == MEDIA_TYPE:
            return self.finding("version", "ok", "version 1 was asked for and granted")
        text = f"version 1 was asked for, and {kind.name if kind else 'no type'} came"
        if self.arrived:
            text += f"; the server got Accept: {self.arrived['received'].get('accept', 'nothing')}"
        return self.finding("version", "bad", text)

    def compression(self, reading: Reading) -> Finding:
        encoding = reading.headers.get("content-encoding", "identity")
        if encoding == "identity":
            return self.finding("compression", "ok", "the stream is not compressed")
        return self.finding("compression", "warning", f"a hop compresses the stream: Content-Encoding: {encoding}")

    def buffering(self, reading: Reading, held: float) -> Finding:
        count = len(reading.messages)
        if "content-length" in reading.headers:
            text = "a hop collects the whole response before it sends it: it has a Content-Length"
            return self.finding("buffering", "bad", text)
        text = f"a frame is up to {held:.3f} s later than another; {count} frames came in {reading.reads} reads"
        if held > BUFFERED_SECONDS:
            return self.finding("buffering", "bad", f"a hop collects frames: {text}")
        if held > HELD_SECONDS:
            return self.finding("buffering", "bad", f"a hop holds frames back for a while: {text}")
        return self.finding("buffering", "ok", f"frames come at once: {text}")

    def flow(self, reading: Reading) -> Finding:
        beat = reading.heartbeat
        if beat is not None and reading.longest_gap > _LATE * beat:
            text = f"{reading.longest_gap:.1f} s passed without a frame, although heartbeats come every {beat:g} s"
            return self.finding("buffering", "bad", f"a hop holds heartbeats back: {text}")
        delays = [came - sent for sent, came in reading.sent]
        if len(delays) < 2 and "content-length" not in reading.headers:
            return self.finding("buffering", "unknown", "the server does not say when it has sent what")
        return self.buffering(reading, max(delays, default=0.0) - min(delays, default=0.0))

    def end(self, reading: Reading) -> Finding:
        if reading.status == 0:
            return self.finding("end", "ok", "the stream came whole")
        return self.finding("end", "bad", f"the stream did not come whole: {reading.verdict}")

    def http(self) -> Finding:
        here, there = self.head.http, f"HTTP/{self.arrived.get('http', '?')}"
        if "HTTP/1.0" not in (here, there):
            return self.finding("http", "ok", f"{here} at the reader, {there} at the server")
        text = f"{here} at the reader, {there} at the server: with HTTP/1.0 a broken answer can look like a whole one"
        return self.finding("http", "warning", text)

    def cut(self) -> Finding:
        plain = replace(self.request, headers=[*self.request.headers, f"Accept: {PLAIN_MEDIA_TYPE}"])
        plain = replace(plain, headers=[*plain.headers, "Accept-Encoding: identity"])
        try:
            reading = read(self.probe("cut"), plain)
        except CommandError as error:
            if isinstance(error.__cause__, ResponseError) and error.__cause__.code == "resource_exhausted":
                return self.finding("cut", "unknown", f"not tried: {error}")
            return self.finding("cut", "ok", f"an answer that the server breaks off is an error: {error}")
        if reading.status == CUT:
            return self.finding("cut", "ok", "an answer that the server breaks off is a broken connection here")
        text = "an answer that the server breaks off ends here as if it were whole; only version 1 and views can tell"
        return self.finding("cut", "warning", text)

    def leaving(self) -> Finding:
        with sent(self.probe("leave"), self.request) as answer:
            first = next((seen for seen in Watch(stream_of(answer)) if seen.kind == "data"), None)
        header = first.frame.header if first is not None else {}
        silence = float(header.get("silence", 0))
        if first is None or not silence or (first.t or 0.0) > silence:
            return self.finding("leaving", "unknown", "not tried: the first frame comes too late")
        address = self.probe("left", id=str(header.get("id", "")))
        latest = time.monotonic() + _LEAVING_SECONDS
        known, pause = False, _FIRST_POLL_SECONDS
        while time.monotonic() < latest:
            left = _json(address, self.request)[0]
            known = known or bool(left.get("known"))
            if left.get("seconds") is not None:
                return self._left(float(left["seconds"]), bool(left.get("ran_out")), silence)
            time.sleep(pause)
            pause *= 1.5
        if known:
            return self.finding("leaving", "bad", "the server does not learn that its reader has left")
        return self.finding("leaving", "unknown", "no process that was asked knows the stream: is there more than one?")

    def _left(self, seconds: float, ran_out: bool, silence: float) -> Finding:
        if ran_out:
            return self.finding("leaving", "bad", "the server does not learn that its reader has left: it wrote on")
        if seconds >= silence:
            text = "the server learns that its reader has left only when it writes: at the next frame or heartbeat"
            return self.finding("leaving", "warning", text)
        return self.finding("leaving", "ok", f"the server learns in {seconds:.1f} s that its reader has left")

    def headers(self) -> Finding:
        lost = [f"{name}: {why}" for name, why in _NEEDED.items() if name not in self.head.headers]
        received = {name.lower() for name in self.arrived["received"]}
        lost += [f"{name}: EventSource cannot resume a stream" for name in _SENT if name not in received]
        if not lost:
            return self.finding("headers", "ok", "the headers of streams are passed on")
        return self.finding("headers", "bad", f"headers are lost: {'; '.join(lost)}")

    def idle(self, seconds: float) -> Finding:
        heartbeat = self.arrived["heartbeat"]
        beats = "there are no heartbeats" if heartbeat is None else f"heartbeats come every {heartbeat:g} s"
        began = time.perf_counter()
        request = replace(self.request, seconds=seconds + self.request.seconds)
        try:
            reading = read(self.probe("quiet", seconds=f"{seconds:g}"), request)
            after = reading.seconds - reading.head_after
            if reading.status == 0 and len(reading.messages) == 2:
                return self.finding("idle", "ok", f"no hop gives up within {seconds:g} s of silence; {beats}")
        except CommandError:
            after = time.perf_counter() - began  # a status of a proxy, as 504: it has given up too
        who = next((f", as {name} does" for limit, name in _SUSPECTS.items() if abs(after - limit) < 1.5), "")
        text = f"a hop gives up after {after:.1f} s of silence{who}; {beats}"
        return self.finding("idle", "ok" if heartbeat is not None and heartbeat < _MARGIN * after else "bad", text)


def diagnose(url: str, headers: Sequence[str] = (), *, idle: float | None = None, seconds: float = 60.0) -> Diagnosis:
    """Examine the way to the probe at `url`, or at `/doctor` where the URL has no path.

    `idle`: also look for hops that give up within so many seconds of silence. `seconds`: the longest silence of a
    server. Raises `CommandError` with status 5 if there is no probe.
    """
    address = http_url(url)
    url = str(address.copy_with(path="/doctor") if address.path in ("", "/") else address)
    # What browsers ask for; without it no hop would compress.
    request = Request(headers=["Accept-Encoding: gzip, deflate", *headers], seconds=seconds)
    asking = replace(request, headers=[*request.headers, *(f"{name}: {value}" for name, value in _SENT.items())])
    arrived, head = _json(_with(url, probe="headers"), asking)
    if arrived.get("doctor") != 1 or not isinstance(arrived.get("received"), dict):
        raise CommandError(_NO_PROBE.format(url=url), status=NO_STREAM)
    examination = Examination(url, request, arrived, head, proxy_of(head.headers))
    findings = [*examination.times(), examination.http(), examination.cut(), examination.headers()]
    if idle is not None:
        findings.append(examination.idle(idle))
    return _diagnosis(examination, findings)


_NO_PROBE: Final = (
    "{url} has no probe. In the server: app.router.routes.append(doctor_route()), from objectstreaming.server. "
    "Another endpoint is examined with its -X or -d"
)


def diagnose_endpoint(url: str, request: Request) -> Diagnosis:
    """Examine the way to any endpoint, by what one request to it gives. Raises `CommandError` as `read` does."""
    request = replace(request, headers=["Accept-Encoding: gzip, deflate", "Prefer: at", *request.headers])
    reading = read(url, request)  # once: it may be dear
    examination = Examination(url, request, {}, reading, proxy_of(reading.headers))
    findings = [examination.version(reading), examination.compression(reading), examination.flow(reading)]
    return _diagnosis(examination, [*findings, examination.end(reading), examination.http()])


def _diagnosis(examination: Examination, findings: Sequence[Finding]) -> Diagnosis:
    head = examination.head
    server = head.headers.get("server", "") or head.headers.get("via", "")
    return Diagnosis(examination.url, head.http, server, examination.proxy, findings)


_COLOURS: Final = {"ok": "green", "unknown": "yellow", "warning": "yellow", "bad": "red"}


def doctor(diagnosis: Diagnosis, say: Callable[[str], object]) -> int:
    """Show a diagnosis. Returns the exit status."""
    via = f", Server: {diagnosis.server}" if diagnosis.server else ""
    say(f"{diagnosis.url}: {diagnosis.http}{via}")
    for finding in diagnosis.findings:
        verdict = coloured(f"{finding.verdict:<8}", _COLOURS[finding.verdict], sys.stdout)
        say(f"{verdict} {finding.check:<12} {finding.text}")
        for program, lines in finding.remedies.items():
            for number, line in enumerate(lines.splitlines()):
                say(f"{'':<21} {f'{program}:' if number == 0 else '':<12} {line}")
    return status_of(diagnosis)


def status_of(diagnosis: Diagnosis) -> int:
    """The exit status for a diagnosis."""
    return 1 if diagnosis.verdict == "bad" else 0


def _with(url: str, **parameters: str) -> str:
    return str(httpx.URL(url).copy_merge_params(parameters))


def _json(url: str, request: Request) -> tuple[dict[str, Any], Reading]:
    """A small JSON answer. Raises `CommandError` with status 5 if it is none."""
    with sent(url, request) as answer:
        response = answer.response
        try:
            body = b""
            for data in response.iter_bytes():
                body += data
                if len(body) > 64 * 1024:
                    break
            value = httpx.Response(200, content=body).json()
        except (httpx.HTTPError, ValueError):
            value = None
        if response.status_code != 200 or not isinstance(value, dict):
            raise CommandError(f"{response.status_code}: {_NO_PROBE.format(url=url)}", status=NO_STREAM)
        return value, Reading(response.http_version, response.headers, time.perf_counter() - answer.began)
