"""Copies every example of a client's README out, builds it with what the README names, and runs it on the real server.

    python clients/readme_examples.py go .venv/bin/objectstreaming

A README has one program, and pieces of programs. Each piece is put into a program of its own, in place of EXAMPLE.
These are in go/testdata/readme and java/examples/readme; the examples of Rust are programs. A README with another
number of examples fails, so that none is forgotten.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENTS = Path(__file__).resolve().parent
SECONDS = 180.0
"""A first build fetches and compiles what it needs."""

TWO_SENTENCES = ["Frames have lengths. -- spec.md", "So a cut is found. -- spec.md"]


def examples(readme: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def output(*command: object, where: Path | None = None, **variables: str) -> list[str]:
    """The lines of a program that must succeed, its log among them."""
    done = subprocess.run(  # noqa: S603
        [str(word) for word in command],
        cwd=where,
        env={**os.environ, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
    )
    if done.returncode:
        raise SystemExit(f"{command}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout.splitlines()


@contextmanager
def running(*command: object) -> Iterator[str]:
    """A server; gives the URL in the first line that has one."""
    server = subprocess.Popen(  # noqa: S603
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        for line in iter(server.stdout.readline, ""):  # type: ignore[union-attr]
            if found := re.search(r"http://[0-9.:]+[/\w]*", line):
                yield found[0].rstrip("/")
                return
        raise SystemExit(f"{command} ended without a URL")
    finally:
        server.terminate()
        server.wait(20)


def expect(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise SystemExit(f"{what}: got {got!r}, wanted {wanted!r}")
    print(f"{what}: ok", flush=True)  # noqa: T201 - a program


def programs(readme: Path, language: str, around: list[Path]) -> dict[str, str]:
    """The first example, which is a program, and those around the others."""
    first, *pieces = examples(readme, language)
    expect(f"pieces of programs in {readme.relative_to(CLIENTS)}", len(pieces), len(around))
    made = {"Ask": first}
    for path, piece in zip(around, pieces, strict=True):
        made[path.stem] = path.read_text("utf-8").replace("EXAMPLE", piece)
    return made


def go(url: str, folder: Path) -> None:
    around = sorted(CLIENTS.glob("go/testdata/readme/*.go"))
    module = "example.com/objectstreaming/clients/go"
    needs = f"require {module} v0.1.0\n\nreplace {module} => {CLIENTS / 'go'}\n"
    (folder / "go.mod").write_text(f"module examples\n\ngo 1.24\n\n{needs}")
    for name, text in programs(CLIENTS / "go/README.md", "go", around).items():
        (folder / name).mkdir()
        (folder / name / "main.go").write_text(text)
    output("go", "build", "-o", f"{folder}/bin/", "./...", where=folder, GOPROXY="off", GOWORK="off")
    messages = output(folder / "bin/Ask", url)
    expect("the first program has an answer", len(messages) > 1 and all(" -- " in line for line in messages), True)
    place, position = output(folder / "bin/1-resume", url)
    expect("a stream with WithResume", int(position) > 1, True)
    expect("a stream from a place", output(folder / "bin/2-place", place), [position])
    with running(folder / "bin/3-serve") as own:
        expect("a handler", output(folder / "bin/Ask", own), TWO_SENTENCES)
    expect("errors", output(folder / "bin/4-errors", url), ["not_found"])


def java(url: str, folder: Path) -> None:
    around = [CLIENTS / "java/examples/readme" / name for name in ("Resume.java", "Serve.java")]
    made = programs(CLIENTS / "java/README.md", "java", around)
    made["AnswerServer"] = (CLIENTS / "java/examples/AnswerServer.java").read_text("utf-8")
    for name, text in made.items():
        (folder / f"{name}.java").write_text(text)
    # The artifacts that the README names, and what they need.
    jars = [next(CLIENTS.glob(f"java/objectstreaming-{name}/target/*-0.1.0.jar")) for name in ("core", "json", "http")]
    jars += CLIENTS.glob("java/objectstreaming-conformance/target/lib/jackson-*.jar")
    path = ":".join(map(str, [*jars, folder]))
    output("javac", "-Xlint:all", "-Werror", "-cp", path, "-d", folder, *folder.glob("*.java"))
    command = ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path)
    messages = output(*command, "Ask", url)
    expect("the first program has an answer", len(messages) > 1 and all(" -- " in line for line in messages), True)
    first, second = output(*command, "Resume", url)
    expect("a stream that resumes, and one from a place", (int(first) > 1, first == second), (True, True))
    for server in (("Serve",), ("AnswerServer", "0")):
        with running(*command, *server) as own:
            expect(server[0], output(*command, "Ask", own), TWO_SENTENCES)


def rust(url: str, folder: Path) -> None:
    crate = CLIENTS / "rust"
    [dependencies] = examples(crate / "README.md", "toml")
    named = 'path = "../objectstreaming/clients/rust"'
    expect("the README names the crate", dependencies.count(named), 1)
    # The profile and the lock file of the crate, so that its build can be used.
    manifest = (
        '[package]\nname = "readme"\nedition = "2024"\n[workspace]\n[profile.dev]\nopt-level = 1\ndebug = false\n'
    )
    (folder / "Cargo.toml").write_text(manifest + dependencies.replace(named, f'path = "{crate}"'))
    shutil.copy(crate / "Cargo.lock", folder)
    (folder / "src/bin").mkdir(parents=True)
    programs = examples(crate / "README.md", "rust[a-z_,]*")
    expect("programs in rust/README.md", len(programs), 3)
    for number, program in enumerate(programs):
        text = program.replace("http://127.0.0.1:8000/objects", url)
        (folder / f"src/bin/readme_{number}.rs").write_text(text)
    output(
        os.environ.get("CARGO", "cargo"), "build", "--quiet", "--bins", "--target-dir", crate / "target", where=folder
    )
    built = crate / "target/debug"
    *messages, last = output(built / "readme_0")
    expect("the first program has all messages", last.split(" messages, Some(")[0], str(len(messages)))
    expect("a stream that resumes", len(output(built / "readme_1", where=folder)), len(messages))
    expect("nothing comes after the end", output(built / "readme_1", where=folder), [])
    expect("types of one's own", output(built / "readme_2"), ["success: Yes."])


def main(language: str, server: str) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with running(server, "serve", "--port", "0", "--store", "memory") as address:
            {"go": go, "java": java, "rust": rust}[language](f"{address}/objects", folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
