"""What this machine could not run, listed at the end of the tests by name and reason."""

from typing import Any


def reason_of(report: Any) -> str:
    """Why a test was skipped."""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(said).removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List them."""
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.section(f"not run on this machine: {len(skipped)}")
    for report in skipped:
        terminalreporter.line(f"{report.nodeid}: {reason_of(report)}")
