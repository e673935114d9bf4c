"""How fast the codec is beside what a person would take instead, and how near to what the machine allows.

    python -m benchmarks            everything, under eight minutes; writes results.md and the SVGs beside it
    python -m benchmarks --quick    the same rows from fewer and shorter rounds, under a minute; writes results-quick.md

**What is done so that the figures can be believed.** Every contender goes through the same adapter (`contenders.py`),
is first checked to give back the very messages that were put in, at this chunking, and only then timed. One round times
every contender once, in turn, so that a noisy moment of the machine hits all; figures are medians over the rounds, with
the quartiles beside them, and a ratio is the median of the rounds' own ratios. Codecs are timed in CPU time, which
a busy neighbour disturbs least. The pure and the native codec run in two processes that take turns.

    workloads.py     the messages (T, A, B and a mix), and how they are cut into chunks
    original.py      the straightforward codec that the budgets are ratios of
    contenders.py    what a contender is; ours
    peers.py         the others
    worker.py        one process that checks and times contenders when it is told to
    rounds.py        the rounds, the medians, the ratios
    steps.py         where a frame's nanoseconds go, and what the machine allows
    growth.py        time and memory against frame size and stream length
    serving.py, asking.py, end_to_end.py     over loopback, server and client in two processes
    flow.py          the dataflow verbs beside their peers
    budgets.py       each promise, judged
    report.py, plots.py                      results.md and the SVGs
"""
