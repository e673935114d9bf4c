"""The matrix: each server and proxy, over each version of HTTP. Writes the tables of docs/deployment.md.

make deployment
"""

from __future__ import annotations

import asyncio
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import checks
import servers
from doctored import ADVISED, FAULTY, IDLE, NGINX, OTHERS, SERVER, Hop, advised, found_in
from doctored import PAGE as PROXIES_PAGE
from servers import Kind, Proxy, Server

from objectstreaming.cli.diagnosing import diagnose, held_back, read
from objectstreaming.cli.streams import Request

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"
LAYERS = "base gzip"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < checks.GIVEN_UP else "**no**"


def cut(ends: list[tuple[str, float]]) -> str:
    """Whether every cut was seen, and the longest time it took beyond the 0.3 s after which each is made."""
    if any(how == "end" for how, _ in ends):
        return "**looks whole**"
    late = max(took for _, took in ends)
    return "yes" if late < 2 else f"after {late:.0f} s"


async def row(server: Server) -> list[str]:
    """First frame, cut for version 1, cut for plain, leave."""
    lag = max([await checks.lag(server), await checks.lag(server, plain=True)])
    framed = [await checks.end_of(server, f"/{path}", plain=False) for path in checks.CUTS]
    plain = [await checks.end_of(server, f"/{path}", plain=True) for path in checks.CUTS]
    left = {kind: await checks.leaving(server, kind) for kind in checks.SOURCES}
    slowest = max(left.values())
    leave = seconds(slowest) if slowest < checks.GIVEN_UP else ", ".join(f"{k} {seconds(v)}" for k, v in left.items())
    return [f"{lag * 1000:.0f} ms", cut(framed), cut(plain), leave]


async def unread(server: Server) -> str:
    if server.http2:
        return ""
    return seconds(max([await checks.leaving_unread(server, size, size // 2) for size in (1_000, 20_000_000)]))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def server_row(kind: Kind) -> list[str]:
    print(kind.name, flush=True)
    with servers.serving(kind, LAYERS) as server:
        cells = [kind.name, *asyncio.run(row(server)), asyncio.run(unread(server))]
    with servers.serving(kind) as server:
        stopped = asyncio.run(checks.stop(server, websockets=kind.websockets))
    told = [stopped.framed, stopped.plain, stopped.session, stopped.upload]
    return [*cells, f"{seconds(stopped.seconds)}: {', '.join(word for word in told if word)}", seconds(stopped.gone)]


def proxy_row(proxy: Proxy) -> list[str]:
    print(proxy.name, flush=True)
    with servers.serving(servers.UVICORN) as server, servers.proxied(proxy, server) as proxied:
        return [proxy.name, *asyncio.run(row(proxied))]


def program_versions() -> str:
    said = []
    for command in (["nginx", "-v"], ["caddy", "version"], ["haproxy", "-v"]):
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"\d+\.\d+\.\d+", ran.stdout + ran.stderr)
        said.append(f"{command[0]} {found[0] if found else '?'}")
    packages = ("uvicorn", "gunicorn", "hypercorn", "granian", "starlette")
    return ", ".join([*(f"{name} {version(name)}" for name in packages), *said])


def doctor_row(hop: Hop, server: Server) -> list[str]:
    """What `objectstreaming doctor` says of a hop, and how late the frames of a bare response are there."""
    print(hop.name, flush=True)
    with hop.before(server) as url:
        diagnosis = diagnose(url, idle=IDLE)
        bare = read(f"{url}/bare", Request(headers=["Accept-Encoding: gzip"]))
        beating = read(f"{url}/beating", Request()) if hop.idle else None
    assert found_in(diagnosis) == hop.found, diagnosis
    assert beating is None or beating.status == 0, "a stream with heartbeats is cut"
    [buffering, *others] = sorted(diagnosis.findings, key=lambda finding: finding.check != "buffering")
    held = re.search(r"[0-9.]+ s", buffering.text)
    told = [f"{each.verdict}: {each.check}" for each in (buffering, *others) if each.verdict not in ("ok", "unknown")]
    idle = next(each.text.partition(";")[0] for each in others if each.check == "idle")
    told += [f"ok with a heartbeat of 0.5 s: {idle}"] if hop.idle else []
    compressed = ", compressed" if "content-encoding" in bare.headers else ""
    late = f"{held_back(bare):.2f} s{compressed}"
    return [hop.name, held[0] if held else "all of it", late, "; ".join(told) or "nothing"]


def doctor_rows() -> list[list[str]]:
    with servers.serving(SERVER) as server:
        return [doctor_row(hop, server) for hop in (*NGINX, *OTHERS, *map(advised, ADVISED), *FAULTY)]


def write(page: Path, **written: str) -> None:
    """Put what was measured into its places in a page."""
    text = page.read_text()
    for name, lines in written.items():
        begin, end = f"<!-- make deployment writes {name} from here -->\n", "<!-- to here -->"
        before, _, rest = text.partition(begin)
        assert rest, f"{page} has no place for {name}"
        text = before + begin + lines + end + rest.partition(end)[2]
    page.write_text(text)


def main() -> None:
    by_hop = table(["hop", "a frame is held", "of a bare response", "`doctor` finds"], doctor_rows())
    head = ["behind", "a frame takes", "a cut is seen: version 1", "plain", "leaving is noticed in"]
    by_server = table(
        [*head, "with an unread body in", "SIGTERM: told after, what", "gone after"],
        [server_row(kind) for kind in servers.KINDS],
    )
    by_proxy = table(head, [proxy_row(proxy) for proxy in servers.PROXIES])
    when = f"CPython {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}: {program_versions()}."
    write(PAGE, servers=by_server, proxies=by_proxy, versions=when + "\n")
    write(PROXIES_PAGE, doctor=by_hop, versions=when + "\n")


if __name__ == "__main__":
    sys.exit(main())
