"""The commands and their options. What each command does is in a module of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__, frames
from . import debugging
from .errors import CommandError
from .terminal import FrameLines, printable

__all__ = ["app"]

app = typer.Typer(
    help="Frames that stream objects and speech.",
    no_args_is_help=True,
    rich_markup_mode=None,  # a wrong option is one plain line, not a box
    pretty_exceptions_enable=False,
)


def _out(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


def _note(line: str) -> None:
    typer.echo(line, err=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        _out(f"objectstreaming {__version__}")
        _out(f"codec: {frames.CODEC}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and the codec.")
    ] = False,
) -> None:
    """Frames that stream objects and speech."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 opens the server to the network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    docs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", help="Folder or file to answer from; may be repeated. Default: the project's own."
        ),
    ] = None,
    chat: Annotated[
        str | None,
        typer.Option(envvar="OBJECTSTREAMING_CHAT", help="OpenAI-compatible chat endpoint to answer with instead."),
    ] = None,
    speech: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint to speak with.")] = None,
    transcription: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint to listen with.")] = None,
    model: Annotated[str, typer.Option(envvar="OBJECTSTREAMING_MODEL", help="The chat endpoint's model.")] = "default",
    voice: Annotated[
        str,
        typer.Option(
            envvar="OBJECTSTREAMING_VOICE",
            help="Voice to speak with: one of the engine's, or a name of Kokoro's such as af_sarah.",
        ),
    ] = "",
    sample_rate: Annotated[
        int | None,
        typer.Option(
            metavar="HZ",
            envvar="OBJECTSTREAMING_SAMPLE_RATE",
            min=1_000,
            max=384_000,
            help="Sample rate of the chat's sound in Hz. Default: the voice's own.",
        ),
    ] = None,
    speech_model: Annotated[str | None, typer.Option(help="The speech endpoint's model. Default: tts-1.")] = None,
    transcription_model: Annotated[
        str | None, typer.Option(help="The transcription endpoint's model. Default: whisper-1.")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Origin whose pages may use the server.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Host name that the server accepts; '*': any.")
    ] = None,
    streams: Annotated[int, typer.Option(metavar="N", min=1, help="How many streams may run at once.")] = 64,
    streams_per_client: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many of them one address may have.")
    ] = 8,
    forwarded_allow_ips: Annotated[
        str, typer.Option(help="Proxies whose X-Forwarded-For is believed: addresses, networks, commas; '*': any.")
    ] = "",
    store: Annotated[
        str,
        typer.Option(help="Where answers are kept for cut readers: memory, a folder, redis://HOST, or none."),
    ] = "memory",
    metrics: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Port of 127.0.0.1 where Prometheus finds metrics; 0 takes a free one.",
        ),
    ] = None,
    wyoming: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Also speak, listen and answer for Home Assistant, here."),
    ] = None,
) -> None:
    """Serve the reference app. The key for the endpoints is taken from OPENAI_API_KEY.

    \b
    Example:
      objectstreaming serve --docs handbook --port 9000
    """
    from .serving import serve as run

    run(
        host=host,
        port=port,
        documents=docs or [],
        chat=chat,
        speech=speech,
        transcription=transcription,
        model=model,
        voice=voice,
        sample_rate=sample_rate,
        speech_model=speech_model,
        transcription_model=transcription_model,
        key=os.environ.get("OPENAI_API_KEY"),
        origins=cors or [],
        hosts=allow_host,
        streams=streams,
        streams_per_client=streams_per_client,
        proxies=[proxy for proxy in forwarded_allow_ips.split(",") if proxy.strip()],
        store=store,
        metrics=metrics,
        wyoming=wyoming,
        say=_note,
    )


@app.command()
def demo(
    question: Annotated[str, typer.Option(help="The text question.")] = "What is a frame?",
    spoken: Annotated[str, typer.Option(help="The question that the synthesizer speaks.")] = (
        "what happens when the reader leaves"
    ),
    wav: Annotated[Path | None, typer.Option(help="A WAV file to ask with instead.")] = None,
    out: Annotated[Path, typer.Option(help="Where the spoken answer is saved.")] = Path("answer.wav"),
) -> None:
    """See it work, with every frame. A server is started, and asked by text and by speech.

    \b
    Example:
      objectstreaming demo --question 'What is a frame?'
    """
    from .demo import run

    run(question=question, spoken=spoken, wav=wav, out=out, say=_out, interactive=sys.stdout.isatty())


@app.command()
def ask(
    url: Annotated[str, typer.Argument(help="The server, as in http://127.0.0.1:8000.")],
    text: Annotated[str | None, typer.Argument(help="The question.")] = None,
    wav: Annotated[Path | None, typer.Option(help="A WAV file that asks the question; - reads stdin.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Ask for a spoken answer, and save it here as WAV; - is stdout, and text stderr."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Save the frames of the answer here, for inspect.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not show the frames on stderr.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a cut connection was, if the server can.")] = (
        False
    ),
    place: Annotated[
        Path | None,
        typer.Option(help="Keep here how far a text answer has come. If it is there already, go on with that answer."),
    ] = None,
) -> None:
    """Ask a server. The answer goes to stdout, progress to stderr.

    \b
    Example:
      objectstreaming ask http://127.0.0.1:8000 'What is a frame?' --out answer.wav
    """
    import httpx

    from . import asking

    if (text is None) == (wav is None):
        raise CommandError("ask either with a text or with --wav FILE", status=2)
    if place is not None and (wav is not None or out is not None):
        raise CommandError("--place is for an answer in text", status=2)
    piped = out == Path("-")
    show = _note if piped else _out
    lines = FrameLines((lambda line: None) if quiet else _note)
    with lines.saving(save), httpx.Client(timeout=httpx.Timeout(10, read=60)) as client:
        if wav is None and out is None:
            assert text is not None
            with asking.send_text(client, url, text, lines, resume, place) as stream:
                for _, answer in stream:
                    _out(asking.sentence(answer))
                    if place is not None:
                        asking.keep_place(stream, place)
            if place is not None:
                place.unlink(missing_ok=True)
        else:
            # Without a path the sound is only measured.
            with asking.PipedSound(sys.stdout.buffer) if piped else asking.SavedSound(out) as saved:
                spoken = (
                    asking.send_sound(client, url, wav, lines, resume)
                    if wav is not None
                    else asking.send_text_for_sound(client, url, text or "", lines, resume)
                )
                asked = False
                with spoken as stream:
                    for tal, pcm in stream:
                        if wav is not None and tal.question and not asked:
                            _note(f"heard: {printable(tal.question)}")
                            asked = True
                        if "unspoken" in tal.extra:
                            _note(printable(str(tal.extra["unspoken"])))
                        if tal.answer:
                            show(printable(tal.answer))
                        saved.add(tal, pcm)
            if out is not None and not piped:
                _note(f"{out}: {saved.seconds:.1f} s of sound")
    if not quiet:
        _note(lines.summary)


@app.command()
def talk(
    url: Annotated[str, typer.Argument(help="The server, as in http://127.0.0.1:8000.")],
    wav: Annotated[Path | None, typer.Option(help="A WAV file that asks, instead of lines from stdin.")] = None,
    out: Annotated[Path | None, typer.Option(help="Save the sound of the answers here as WAV.")] = None,
) -> None:
    """Talk with a server. A line asks, and stops the answer before it. Answers go to stdout, the rest to stderr.

    \b
    Example:
      objectstreaming talk http://127.0.0.1:8000 --out talk.wav
    """
    from .talking import talk as run

    run(url=url, lines=sys.stdin, interactive=sys.stdin.isatty(), wav=wav, out=out, say=_out, note=_note)


app.add_typer(debugging.commands)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def conformance(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="CMD", help="Command line of the implementation under test; default: our own."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Run every implementation of a list, and the matrix.")] = False,
    implementation: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run this one of the list; may be repeated.")
    ] = None,
    implementations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The list; default: clients/implementations.json of the checkout around this directory.",
        ),
    ] = None,
    only: Annotated[str, typer.Option(metavar="PREFIX", help="Try only cases whose id begins so.")] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="Show every failure, not the first twenty.")] = False,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rewrite the marked block of this Markdown file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
) -> None:
    """Test an implementation. The conformance suite runs against a program that speaks its protocol.

    Exit status: 0 if it conforms, 1 if it does not, 2 if it could not be run.

    \b
    Example:
      objectstreaming conformance --only http- node my-client.mjs
    """
    try:
        from ..conformance.program import CannotRun
        from .conformance import run_list, run_one
    except ModuleNotFoundError as error:  # one extra brings all that it needs: it is named once, not module by module
        if (error.name or "").startswith("objectstreaming"):
            raise
        pip = "pip install 'objectstreaming[conformance]'"
        raise CommandError(f"{error.name} is not installed; it comes with: {pip}", status=2) from None

    listed = every or bool(implementation)
    if command and listed:
        raise CommandError("either a command line, or --all or --implementation", status=2)
    if implementations is not None and not listed:
        raise CommandError("--implementations needs --all or --implementation: which of the list?", status=2)
    if write is not None and (not every or only):
        raise CommandError("--write needs --all and no --only: the block of the page is about all cases", status=2)
    if as_json and listed:
        raise CommandError("--json is for one implementation, without --all and --implementation", status=2)
    try:
        if not listed:
            status = run_one(command or [], only=only, verbose=verbose, as_json=as_json, say=_out)
        else:
            status = run_list(implementations, implementation or [], only=only, verbose=verbose, write=write, say=_out)
    except BrokenPipeError:  # the reader of our output has left
        raise
    except (CannotRun, OSError) as error:
        raise CommandError(str(error), status=2) from None
    raise typer.Exit(status)
