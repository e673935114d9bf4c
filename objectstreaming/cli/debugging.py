"""The options of the commands that look at streams, keep them and send them again."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer

__all__ = ["commands"]

commands = typer.Typer(rich_markup_mode=None)

Source = Annotated[str, typer.Argument(metavar="URL|FILE|-", help="An http URL, a captured stream, or - for stdin.")]
Method = Annotated[str | None, typer.Option("-X", "--method", help="The method; default: GET, or POST with --data.")]
Header = Annotated[list[str] | None, typer.Option("-H", "--header", metavar="'NAME: VALUE'", help="A request header.")]
Data = Annotated[str | None, typer.Option("-d", "--data", help="The request body; @FILE takes a file's.")]
Timeout = Annotated[float, typer.Option(min=0.001, metavar="SECONDS", help="The longest silence of a server.")]
CoderName = Annotated[str | None, typer.Option(metavar="NAME", help="The coder of a stream that does not say it.")]


class Payload(Enum):
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
    coder: CoderName = None,
    method: Method = None,
    header: Header = None,
    data: Data = None,
    timeout: Timeout = 60.0,
) -> None:
    """Show the frames of a stream while they arrive: index, offset, time, gap, bytes, header, payload.

    Exit status: 0 if the stream is whole, 1 if it breaks the rules, 3 if it was cut, 4 if it ended with an error, 5 if
    there is none.

    Example: objectstreaming inspect http://127.0.0.1:8000/objects -d '{"question": "What is a frame?"}' --stats
    """
    from .inspecting import Choice
    from .inspecting import inspect as run
    from .streams import Request

    status = run(
        source,
        Request(method, header or (), data, timeout),
        coder=coder,
        choice=Choice.of(kind, frames, where or ()),
        payload=payload.value,
        as_json=as_json,
        statistics=stats,
        say=_out,
        note=_note,
    )
    raise typer.Exit(status)
