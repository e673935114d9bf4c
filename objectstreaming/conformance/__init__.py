"""The conformance suite: tries a program, in any language, against the specification (SPEC section 9).

README.md beside this file is the guide to writing such a program. It speaks JSON lines on its standard input and
output: a line is a request or the answer to one.

Level 1 is the codec. A case is a wire and a verdict: the frames that come of it, the error, and the byte by which the
error must be reported. The runner makes the chunkings of the wire itself and sends all of them at once, so that a
program that answers one line at a time is never waited for between two. Level 2 is a client over HTTP, which reads
streams from a fault server and from the reference application. Level 3 is a client that resumes. In the matrix every
implementation reads what every other has written. The command line is `objectstreaming.cli`; this package imports
neither it nor the application, but is told where that is served.

    manifest.json, schema.json, vectors/    the cases of level 1, as data
    generator/               writes them; shares no code with the rest of this package
    cases                    loads them, and makes the chunkings
    http_cases               the cases of level 2
    http_behaviours          what the fault server does in them, and what may come of it
    resume_cases             the cases of level 3
    resume_script            the stream that is resumed in them, and what each request must be
    app_cases                the cases of level 2 that the reference application answers
    program                  the program under test: its process, requests and answers
    compare                  an answer with what was expected
    runner                   `check`: one program on the cases of all levels
    report                   the result of each case, and the table of them
    registry                 lists of implementations: clients/implementations.json
    matrix                   `cross`: who reads whom
    summary                  the implementations of a list, and the table of all of them
    python_implementation    this package as a program under test: the example to copy
    mutants                  implementations with one mistake each: the suite must find it
    resume_mutants           those of level 3

It needs the extra `conformance`. Nothing is imported here, so that a program under test starts fast.
"""
