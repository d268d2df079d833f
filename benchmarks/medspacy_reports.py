"""Seconds of CPU time that medspaCy takes for reports; runs in medspaCy's environment, called by `benchmarks.reports`.

Reads {"texts": […], "targets": […]} from the file named on the command line and prints the best of three runs.
"""

import json
import sys
import time

import medspacy  # registers its components with spaCy
import spacy
from medspacy.ner import TargetRule

RUNS = 3


def main() -> None:
    """Build the pipeline, run it, print the seconds."""
    with open(sys.argv[1], encoding="utf-8") as file:
        content = json.load(file)
    assert medspacy
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    matcher = nlp.add_pipe("medspacy_target_matcher")
    matcher.add([TargetRule(target, "FINDING") for target in content["targets"]])
    nlp.add_pipe("medspacy_context")
    nlp(content["texts"][0])
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        for text in content["texts"]:
            nlp(text)
        best = min(best, time.process_time() - began)
    print(best)


if __name__ == "__main__":
    main()
