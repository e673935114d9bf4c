"""Copies each example of the README into a package of its own, with the dependencies that the README names and no others,
and runs it against the real server, whose program is the argument.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CRATE = Path(__file__).resolve().parent.parent
README = (CRATE / "README.md").read_text()
CARGO = os.environ.get("CARGO", "cargo")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server does not run")


def package(folder: Path, dependencies: str, programs: dict[str, str]) -> None:
    """Several programs are several binaries of one package, which is built once."""
    manifest = '[package]\nname = "example"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n'
    manifest += "[profile.dev]\nopt-level = 1\ndebug = false\n"  # those of the crate, so that its build can be used
    path = 'path = "../objectstreaming/clients/rust"'
    if path not in dependencies:
        raise SystemExit(f"README names its own crate in another way than {path}")
    (folder / "Cargo.toml").write_text(manifest + dependencies.replace(path, f'path = "{CRATE}"'))
    (folder / "Cargo.lock").write_bytes((CRATE / "Cargo.lock").read_bytes())
    (folder / "src/bin").mkdir(parents=True)
    for name, program in programs.items():
        (folder / f"src/bin/{name}.rs").write_text(program)
    subprocess.run(  # noqa: S603
        [CARGO, "build", "--quiet", "--bins", "--target-dir", CRATE / "target"], cwd=folder, check=True
    )


def main() -> None:
    [dependencies] = blocks("toml")
    port = free_port()
    programs = {
        re.sub(r"\W", "_", f"readme_{number}"): program.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        for number, program in enumerate(blocks("rust"))
    }
    with tempfile.TemporaryDirectory() as folder:
        package(Path(folder), dependencies, programs)
        server = subprocess.Popen([sys.argv[1], "serve", "--port", str(port), "--store", "memory"])  # noqa: S603
        try:
            wait_for(port, server)

            def run(name: str) -> str:
                command = [CRATE / "target/debug" / name]
                output = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)  # noqa: S603
                return output.stdout.decode()

            read = run("readme_0").splitlines()
            expected = re.fullmatch(r"(\d+) messages, Some\(.*\)", read[-1])
            assert expected and len(read) == int(expected[1]) + 1 > 1, read
            resumed = run("readme_1").splitlines()
            assert len(resumed) == int(expected[1]), resumed
            assert (Path(folder) / "place.json").exists(), "the server keeps the stream"
            assert run("readme_1") == "", "nothing comes after the end"
            assert run("readme_2") == "success: Yes.\n"
        finally:
            server.terminate()
            server.wait(20)
    print(f"README: {len(programs)} examples, built with what it names, and run")  # noqa: T201


main()
