"""How fast the codec is, beside what a user would take instead and beside what the machine allows.

    python -m benchmarks                       everything; writes results.md and README's table (`make bench`)
    python -m benchmarks --quick               fewer and shorter rounds; writes results-quick.md
    python -m benchmarks decode-T --quick      only the rows that begin so, printed; while you work on one
    python -m benchmarks --only instructions   without loopback and growth
    python -m benchmarks.sentences             where sentences end, beside others; writes sentences.md
    PYTHONPATH=tests python -m benchmarks.chat   an answer in text and sound, as frames and as events; writes chat.md
    python -m benchmarks.spoken                how well an answer with Markdown is understood; writes spoken.md

**Why the figures can be believed.** Every contender goes through the same adapter (`contenders.py`). First it must give
back the very messages that were put in, at this chunking; only then is it measured. A round measures every case once,
in turn, so that a disturbance of the machine hits all of them. Figures are medians over the rounds, with the quartiles,
and a ratio is the median of the rounds' own ratios. Codecs are timed in CPU time, which other processes disturb least.
The pure and the native codec run in two processes that take turns. And as times still differ by 20 to 40 % from run to
run, instructions are counted too, and budgets are judged by them where both sides have them.

    workloads.py       the messages (T, A, B and mix), and how they are cut into chunks
    original.py        the straightforward codec that the budgets are ratios of
    contenders.py      what a contender is; ours
    peers.py           the others
    steps.py           parts of the job alone, and limits
    flow.py            the dataflow verbs and their peers
    worker.py          one process that checks and measures cases when it is told to
    instructions.py    counting by callgrind
    rounds.py          the workers, the rounds, the medians, the ratios
    loopback*.py       server and client in two processes
    growth.py          time and memory against frame size and stream length
    budgets.py         each promise, judged
    report.py          results.md, and README's table
"""
