"""The conformance runner: tries a program, in any language, against spec/conformance (SPEC section 9).

**Theory of operation.** The program, the testee, speaks JSON lines on its standard input and output; the protocol is
in spec/conformance/README.md. Level 1 is the codec: a case is a wire and a verdict. The runner makes the chunkings of
the wire itself, asks for all of a case's at once (so that a testee which answers line by line runs at full speed), and
compares each answer with the verdict: frames, error, and that the error was out by the byte that gave it away. Level 2
is a client over HTTP: the wire comes from a server that cuts, stalls and lies. The matrix has every testee read what
every other has written. A testee that crashes, keeps silent or talks nonsense fails the case it was at, and is started
anew for the next one.

`check` tries one testee and gives a typed `Report`; `run` is the command, which prints it and gives an exit status.

    cases       the vectors, and the chunkings of a wire: level 1
    fetching    the cases of HTTP: level 2
    plays       their streams, and what a server does with them
    door        the server that does it
    reference   the reference app, which plays the other parts
    matrix      who reads whom
    comparing   an answer with what was expected
    testee      the program under test
    registry    those that testees.json names
    report      results, and a table of them
    summary     the table of all testees, and clients/README.md
    running     one testee through the levels
    command     `objectstreaming conformance`
"""

from .cases import chunkings, load_cases
from .command import run
from .comparing import Mismatch
from .matrix import Matrix, cross
from .registry import Registered, load_testees
from .report import CaseResult, Report
from .running import check
from .testee import CannotRun

__all__ = [
    "CannotRun",
    "CaseResult",
    "Matrix",
    "Mismatch",
    "Registered",
    "Report",
    "check",
    "chunkings",
    "cross",
    "load_cases",
    "load_testees",
    "run",
]
