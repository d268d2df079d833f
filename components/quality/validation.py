"""Runs the expectations with Great Expectations, in memory, and says what failed and in which rows."""

from dataclasses import dataclass

import great_expectations as gx
import pandas as pd
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig

from components.quality.expectations import Suites

ROWS_SHOWN = 20


@dataclass(frozen=True)
class Outcome:
    """How one expectation ended.

    Attributes:
        name, frame: the expectation and the frame that it looked at.
        sentence: what is expected.
        passed: whether it holds.
        unexpected: how many rows break it, also where enough others do not.
        rows: the ids of the first of them.
        observed: the figure that was seen, where the expectation is not about rows.
    """

    name: str
    frame: str
    sentence: str
    passed: bool
    unexpected: int
    rows: tuple[str, ...]
    observed: str = ""

    def __str__(self) -> str:
        rows = f" ({self.unexpected} rows, such as {', '.join(self.rows[:5])})" if self.rows else ""
        return f"{self.sentence}{rows}{f' (found {self.observed})' if self.observed else ''}"


def validate(frames: dict[str, pd.DataFrame], suites: Suites) -> dict[str, ExpectationSuiteValidationResult]:
    """The results of every suite on its frame, with the ids of the rows that break an expectation."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("tables")
    results = {}
    for name, expectations in suites.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        results[name] = definition.run(
            batch_parameters={"dataframe": frames[name]},
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": ["id"],
                "partial_unexpected_count": ROWS_SHOWN,
            },
        )
    return results


def outcomes(results: dict[str, ExpectationSuiteValidationResult]) -> list[Outcome]:
    """Every expectation's outcome, in the order of the suites."""
    told = []
    for frame, result in results.items():
        for single in result.results:
            assert not single.exception_info.get("raised_exception"), single.exception_info
            config, found = single.expectation_config, single.result
            rows = dict.fromkeys(str(row["id"]) for row in found.get("partial_unexpected_index_list") or ())
            told.append(
                Outcome(
                    config.meta["name"],
                    frame,
                    config.description,
                    bool(single.success),
                    int(found.get("unexpected_count", 0)),
                    tuple(rows),
                    str(found.get("observed_value", "")),
                )
            )
    return told
