"""How many reports a second one core parses: this project's parser, and medspaCy with the same targets.

usage: python -m benchmarks.reports [--reports FILE.jsonl]

Every report is different. The parser remembers sentences, which reports share; its first figure forgets them after
each. medspaCy runs in an environment of its own (`make benchmark-medspacy` makes it) as sentencizer, TargetMatcher and
ConText, with every phrase by which the lexicon knows a finding as a target; it looks for no places and no sections.
Rates are of CPU time, the best of three runs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from components.core.command import finish, guarded
from components.core.workers import worker_count
from components.phantom.report import Context, write_report
from components.phantom.study import OCCURRENCES, Mix, sample_patient, sample_study
from components.reports.lexicon import lexicon, targets
from components.reports.lines import read_lines, text_of
from components.reports.parser import parse_sentence
from components.reports.reading import read

REPORTS = 2000
COMPARED = 200  # reports that medspaCy gets
RUNS = 3
MEET_SECONDS = 300
MIX = Mix(frozenset(OCCURRENCES), 1.6)
MEDSPACY = Path(".state/medspacy/bin/python")
_everyone: Barrier


def phantom_reports(count: int) -> list[str]:
    """The texts of as many different phantom reports."""
    texts: dict[str, None] = {}
    while len(texts) < count:
        rng = np.random.default_rng(len(texts))
        patient = sample_patient(rng)
        context = Context(sample_study(rng, patient, MIX), 60, None, compared=len(texts) % 2 == 0)
        texts[write_report(context, 0.08, rng).text + f"\nPage {len(texts)}."] = None
    return list(texts)


def parse_all(texts: list[str], forget: bool = False) -> float:
    """CPU seconds that parsing takes in this process; `forget` drops the sentences seen after each report."""
    lexicon()
    parse_sentence.cache_clear()
    began = time.process_time()
    for text in texts:
        read(text)
        if forget:
            parse_sentence.cache_clear()
    return time.process_time() - began


def _start(ready: Barrier) -> None:
    global _everyone
    _everyone = ready
    lexicon()


def _meet() -> None:
    _everyone.wait(MEET_SECONDS)


def wall_seconds(texts: list[str], workers: int) -> float:
    """Seconds that parsing takes in several processes, all of them ready before.

    Raises:
        BrokenProcessPool: one of them died.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (context.Barrier(workers),)) as pool:
        for met in [pool.submit(_meet) for _ in range(workers)]:
            met.result()
        began = time.perf_counter()
        list(pool.map(parse_all, [texts[start::workers] for start in range(workers)]))
        return time.perf_counter() - began


def medspacy_rate(texts: list[str]) -> float | None:
    """Reports a second of medspaCy, or None where its environment is not there."""
    if not MEDSPACY.exists():
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump({"texts": texts, "targets": targets(lexicon())}, file)
        file.flush()
        script = Path(__file__).with_name("medspacy_reports.py")
        done = subprocess.run([MEDSPACY, script, file.name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"medspaCy failed:\n{done.stderr[-2000:]}")
    return len(texts) / float(done.stdout.split()[-1])


def run(path: Path | None) -> None:
    """Measure and print the tables."""
    texts = [text_of(report)[0] for report in read_lines(path, [])] if path else phantom_reports(REPORTS)
    if not texts:
        raise ValueError(f"{path} holds no report")
    words = sum(len(text.split()) for text in texts) / len(texts)
    source = f"reports of {path.name}" if path else "phantom reports"
    print(f"{len(texts)} different {source}, {words:.0f} words on average")
    new = len(texts) / min(parse_all(texts, forget=True) for _ in range(RUNS))
    ours = len(texts) / min(parse_all(texts) for _ in range(RUNS))
    theirs = medspacy_rate(texts[:COMPARED])
    print(f"\n{'':38}reports/s/core")
    print(f"{'components.reports, nothing remembered':38}{new:14,.0f}")
    print(f"{'components.reports, as it runs':38}{ours:14,.0f}")
    if theirs is None:
        print(f"{'medspaCy':38}{'not set up':>14}: make benchmark-medspacy")
    else:
        print(f"{'medspaCy, the same targets':38}{theirs:14,.0f}")
    print(f"\n{'processes':>9}{'reports/s':>12}{'speed-up':>10}")
    one = wall_seconds(texts, 1)
    for workers in range(1, worker_count() + 1):
        seconds = one if workers == 1 else wall_seconds(texts, workers)
        print(f"{workers:9}{len(texts) / seconds:12,.0f}{one / seconds:10.2f}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", metavar="FILE.jsonl", type=Path, help="reports to measure with, one a line")
    arguments = parser.parse_args()
    finish(guarded(lambda: run(arguments.reports)))


if __name__ == "__main__":
    sys.exit(main())
