"""The services, started once for all tests that need them."""

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.finished_run import Finished
from tests.pipelines.airflow.stack import Stack, running_stack

SEEDS = (21, 22)  # of the bootstrap, in the two runs at once
PAGE_SECONDS = 180.0  # other tests have the cores, too
CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def stack(finished: Finished, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(finished, repository, tmp_path_factory.mktemp("stack") / "checkout") as started:
        yield started


@dataclass
class AtOnce:
    """A run from the terminal, which has begun, and the one that was triggered beside it, once there is one."""

    terminal: Future[subprocess.CompletedProcess[str]]
    beside: str | None = None


@pytest.fixture(scope="session")
def at_once(stack: Stack) -> Iterator[AtOnce]:
    """Two runs for all that looks at whole runs: the form triggers the second where there is a browser."""
    with ThreadPoolExecutor(1) as pool:
        yield AtOnce(pool.submit(stack.module, "pipelines.airflow.demo", "--set", f"zero_shot.seed={SEEDS[0]}"))


@pytest.fixture
def page(stack: Stack) -> Iterator[Any]:
    """A page of headless Chromium, logged in to Airflow."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
        opened = browser.new_page(viewport={"width": 1500, "height": 1000})
        opened.set_default_timeout(1000 * PAGE_SECONDS)
        opened.goto(stack.services.airflow)
        opened.fill("input[name=username]", "admin")
        opened.fill("input[name=password]", stack.services.password())
        opened.click("button[type=submit]")
        opened.wait_for_url(lambda address: "login" not in address)
        yield opened
        browser.close()
