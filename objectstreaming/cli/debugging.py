"""The options of the commands that look at streams, keep them and send them again."""

from __future__ import annotations

import json
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .errors import CommandError

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode=None)

Source = Annotated[str, typer.Argument(metavar="URL|FILE|-", help="An http URL, a captured stream, or - for stdin.")]
Method = Annotated[str | None, typer.Option("-X", "--method", help="The method; default: GET, or POST with --data.")]
Header = Annotated[list[str] | None, typer.Option("-H", "--header", metavar="'NAME: VALUE'", help="A request header.")]
Data = Annotated[str | None, typer.Option("-d", "--data", help="The request body; @FILE takes a file's.")]
Timeout = Annotated[float, typer.Option(min=0.001, metavar="SECONDS", help="The longest silence of a server.")]
CoderName = Annotated[str | None, typer.Option(metavar="NAME", help="The coder of a stream that does not say it.")]


Exchange = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Of a recording: the answer in the exchange of this number.")
]


class Payload(StrEnum):
    NONE = "none"
    BRIEF = "brief"
    FULL = "full"
    HEX = "hex"


def _out(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


def _note(line: str) -> None:
    typer.echo(line, err=True)


@commands.command()
def inspect(
    source: Source,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    kind: Annotated[str, typer.Option(metavar="KINDS", help="Only these: data,open,ping,end,other.")] = "",
    where: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="Only headers with this member, as in 'sign==3'.")
    ] = None,
    frames: Annotated[str, typer.Option(metavar="FROM:TO", help="Only the frames of these indexes.")] = "",
    payload: Annotated[Payload, typer.Option(help="How the payloads are shown.")] = Payload.BRIEF,
    stats: Annotated[bool, typer.Option("--stats", help="Sizes and times of the whole stream at its end.")] = False,
    exchange: Exchange = None,
    coder: CoderName = None,
    method: Method = None,
    header: Header = None,
    data: Data = None,
    timeout: Timeout = 60.0,
) -> None:
    """Show the frames of a stream as they arrive. A line has index, offset, time, gap, bytes, header and payload.

    Exit status: 0 if the stream is whole, 1 if it breaks the rules, 3 if it was cut, 4 if it ended with an error, 5 if
    there is none.

    \b
    Example:
      objectstreaming inspect http://127.0.0.1:8000/objects -d '{"question": "What is a frame?"}' --stats
    """
    from .inspecting import Choice
    from .inspecting import inspect as run
    from .streams import Request

    status = run(
        source,
        Request(method, header or (), data, timeout),
        exchange=exchange,
        coder=coder,
        choice=Choice.of(kind, frames, where or ()),
        payload=payload.value,
        as_json=as_json,
        statistics=stats,
        say=_out,
        note=_note,
    )
    raise typer.Exit(status)


@commands.command()
def cat(
    source: Source,
    text: Annotated[
        str, typer.Option(metavar="MEMBER", help="The member that has the text, as in choices.0.delta.")
    ] = "",
    no_newline: Annotated[
        bool, typer.Option("--no-newline", "-n", help="Join the texts: for streams of tokens.")
    ] = False,
    play: Annotated[bool, typer.Option("--play", help="Play the sound on the sound card.")] = False,
    exchange: Exchange = None,
    coder: CoderName = None,
    method: Method = None,
    header: Header = None,
    data: Data = None,
    timeout: Timeout = 60.0,
) -> None:
    """Write the text of a stream, play its sound. The text goes to stdout as it comes.

    Exit status: that of inspect.

    \b
    Example:
      objectstreaming cat http://127.0.0.1:8000/objects -d '{"question": "What is a frame?"}'
    """
    from .contents import cat as run
    from .streams import Request

    def write(text: str) -> None:
        typer.echo(text, nl=False)
        sys.stdout.flush()

    status = run(
        source,
        Request(method, header or (), data, timeout),
        exchange=exchange,
        coder=coder,
        member=text,
        separator="" if no_newline else "\n",
        play=play,
        write=write,
        note=_note,
    )
    raise typer.Exit(status)


@commands.command()
def to_wav(
    source: Source,
    out: Annotated[Path, typer.Option("-o", "--out", help="The WAV file.")] = Path("stream.wav"),
    keep: Annotated[bool, typer.Option("--keep", help="Keep the sound of a stream that is not whole, too.")] = False,
    exchange: Exchange = None,
    method: Method = None,
    header: Header = None,
    data: Data = None,
    timeout: Timeout = 60.0,
) -> None:
    """Save the sound of a stream as a WAV file. It may be one in a recording.

    Exit status: that of inspect.

    \b
    Example:
      objectstreaming to-wav call.rec.frames -o call.wav
    """
    from .contents import to_wav as run
    from .streams import Request

    raise typer.Exit(
        run(source, Request(method, header or (), data, timeout), out, exchange=exchange, keep=keep, note=_note)
    )


@commands.command()
def record(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="Record the answer of this URL.")] = None,
    proxy: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Record what clients send here; 0: a free port."),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="URL", help="The server that --proxy forwards to.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The recording.")] = Path("stream.rec.frames"),
    method: Method = None,
    header: Header = None,
    data: Data = None,
    timeout: Timeout = 60.0,
) -> None:
    """Record an answer with its times. With --proxy, record all requests and answers.

    Credentials in headers and in the query are masked. Bodies are not: look before you pass a recording on.

    \b
    Example:
      objectstreaming record --proxy 9000 --to http://127.0.0.1:8000 -o call.rec.frames
    """
    from .recording import record as run
    from .recording import record_proxy
    from .streams import Request

    if (url is None) == (proxy is None) or (proxy is None) != (to is None):
        raise CommandError("record either a URL, or with --proxy PORT --to URL", status=2)
    if url is not None:
        raise typer.Exit(run(url, Request(method, header or (), data, timeout), out, _note))
    assert proxy is not None
    assert to is not None
    record_proxy(proxy, to, out, _note)


@commands.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recording, or a captured stream.")],
    serve: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Where to answer; 0: a free port.")
    ] = 9000,
    exchange: Exchange = None,
    speed: Annotated[str, typer.Option(metavar="FACTOR", help="How many times as fast; max: at once.")] = "1",
    cut_at: Annotated[
        int | None, typer.Option(min=0, metavar="BYTE", help="Break the connection at this byte.")
    ] = None,
    clean: Annotated[bool, typer.Option("--clean", help="End the body in good order at --cut-at instead.")] = False,
    stall: Annotated[list[str] | None, typer.Option(metavar="FRAME:SECONDS", help="Wait before this frame.")] = None,
    drop: Annotated[list[int] | None, typer.Option(min=0, metavar="FRAME", help="Leave this frame out.")] = None,
    duplicate: Annotated[list[int] | None, typer.Option(min=0, metavar="FRAME", help="Send this frame twice.")] = None,
    flip: Annotated[list[int] | None, typer.Option(min=0, metavar="BYTE", help="Flip a bit of this byte.")] = None,
) -> None:
    """Answer requests with a recorded answer. It does so on 127.0.0.1, at the recorded pace, with faults for a
    client to find.

    Frames and bytes are counted as inspect shows them.

    \b
    Example:
      objectstreaming replay call.rec.frames --serve 9000 --stall 3:1.5 --cut-at 150
    """
    from .replaying import Faults
    from .replaying import replay as run

    if clean and cut_at is None:
        raise CommandError("--clean needs --cut-at", status=2)
    faults = Faults(
        cut_at, clean, [_stall(text) for text in stall or ()], drop or (), duplicate or (), flip or (), _speed(speed)
    )
    run(file, serve, exchange, faults, _note)


@commands.command()
def doctor(
    url: Annotated[str, typer.Argument(help="The server, or the URL of its doctor_route; with -X or -d any endpoint.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    idle: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=600, metavar="SECONDS", help="Look for hops that give up in such a silence, as in 65."
        ),
    ] = None,
    method: Method = None,
    header: Header = None,
    data: Data = None,
    timeout: Timeout = 60.0,
) -> None:
    """Find what proxies do to streams. That is, those between a server and here; and what to change.

    The server has the route objectstreaming.server.doctor_route, as that of serve does. It takes a few seconds. With -X
    or -d one request is sent to the URL instead, and less is found.

    Exit status: 0 if nothing bad is found, 1 if something is, 5 if there is no such route or stream.

    \b
    Example:
      objectstreaming doctor https://example.com --idle 65
    """
    from .diagnosing import diagnose, diagnose_endpoint, status_of
    from .diagnosing import doctor as show
    from .streams import Request

    if method is None and data is None:
        diagnosis = diagnose(url, header or (), idle=idle, seconds=timeout)
    elif idle is not None:
        raise CommandError("--idle needs the server's doctor_route: no -X and no -d", status=2)
    else:
        diagnosis = diagnose_endpoint(url, Request(method, header or (), data, timeout))
    if as_json:
        _out(json.dumps(diagnosis.as_json()))
        raise typer.Exit(status_of(diagnosis))
    raise typer.Exit(show(diagnosis, _out))


def _stall(text: str) -> tuple[int, float]:
    frame, _, seconds = text.partition(":")
    try:
        place, wait = int(frame), float(seconds)
    except ValueError:
        place, wait = -1, 0.0
    if place < 0 or not 0 <= wait < math.inf:
        raise CommandError(f"--stall is FRAME:SECONDS, as in 3:1.5, not {text!r}", status=2)
    return place, wait


def _speed(text: str) -> float:
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise CommandError(f"--speed is a factor or max, not {text!r}", status=2)
    return speed
