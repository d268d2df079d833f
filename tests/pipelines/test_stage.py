"""Running one stage through DVC: what it tells, and how it ends when it is stopped, orphaned, or not alone."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from pipelines.processes import Record, started
from pipelines.stage import STATE, Outcome, locked, run_stage

STUBBORN = 'trap "" INT; echo $$ > .state/pid; sleep 60 & while true; do wait; done'
DVC_YAML = f"""
stages:
  copy:
    cmd: cp in.txt out.txt && echo 0 > $MEDSLIP_STATUS_FILE
    deps: [in.txt]
    outs: [out.txt]
  gate:
    cmd: echo "gate failed" >&2 && echo 3 > $MEDSLIP_STATUS_FILE && exit 3
    deps: [in.txt]
    outs: [gate.txt]
  defect:
    cmd: echo "a traceback" && exit 1
    deps: [in.txt]
    outs: [defect.txt]
  memory:
    cmd: exit 137
    deps: [in.txt]
    outs: [memory.txt]
  slow:
    cmd: echo $$ > .state/pid && sleep 60 && touch slow.txt
    deps: [in.txt]
    outs: [slow.txt]
  stubborn:
    cmd: {STUBBORN}
    deps: [in.txt]
    outs: [stubborn.txt]
  many:
    foreach: [a, b, c]
    do:
      cmd: sleep 0.5 && echo ${{item}} > ${{item}}.txt && echo 0 > $MEDSLIP_STATUS_FILE
      deps: [in.txt]
      outs: ["${{item}}.txt"]
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> Path:
    folder = tmp_path / "workspace"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n", encoding="utf-8")
    (folder / "dvc.yaml").write_text(DVC_YAML, encoding="utf-8")
    (folder / "in.txt").write_text("one\n", encoding="utf-8")
    (folder / ".state").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setenv("PYTHONPATH", str(repository))
    return folder


def run(address: str, force: bool = False, patience: float = 60.0) -> Outcome:
    return run_stage(address, force, patience, show=lambda text: None)


def wait_for(path: Path) -> int:
    deadline = time.monotonic() + 120
    while not (path.is_file() and path.read_text(encoding="ascii").strip()):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)
    return int(path.read_text(encoding="ascii"))


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while started(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return started(pid) is None


def launcher(address: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that runs a stage, as a scheduler's task would."""
    code = f"""
from pipelines.stage import run_stage, stops_as_interrupts
with stops_as_interrupts():
    run_stage({address!r})
"""
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_stage_runs_then_nothing_changes_then_the_cache_restores(workspace: Path) -> None:
    assert (run("copy").status, (workspace / "out.txt").read_text(encoding="utf-8")) == (0, "one\n")
    assert run("copy").how == "unchanged"
    (workspace / "in.txt").write_text("two\n", encoding="utf-8")
    assert run("copy").how == "ran"
    (workspace / "in.txt").write_text("one\n", encoding="utf-8")
    restored = run("copy")
    assert restored.how == "restored"
    assert (workspace / "out.txt").read_text(encoding="utf-8") == "one\n"
    assert "is cached" in restored.log.read_text(encoding="utf-8")
    assert run("copy", force=True).how == "ran"


@pytest.mark.parametrize(("address", "status"), [("gate", 3), ("defect", 1), ("memory", 137), ("nowhere", 1)])
def test_the_stages_own_status_comes_through(workspace: Path, address: str, status: int) -> None:
    outcome = run(address)
    assert (outcome.status, outcome.how) == (status, "failed")
    assert outcome.log.read_text(encoding="utf-8")


def test_a_group_that_is_killed_from_outside_is_no_defect(workspace: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(run, "slow")
        wait_for(workspace / ".state/pid")
        group = Record(workspace / STATE / "slow/group").group()
        assert group is not None
        os.killpg(group[0], signal.SIGKILL)
        assert outcome.result().status == 137


def test_stop_ends_the_stages_processes_and_leaves_no_lock(workspace: Path) -> None:
    task = launcher("slow", workspace)
    pid = wait_for(workspace / ".state/pid")
    task.send_signal(signal.SIGTERM)
    task.communicate(timeout=120)
    assert task.returncode != 0
    assert gone(pid)
    assert not (workspace / STATE / "slow/group").exists()
    assert run("copy").status == 0  # DVC has no stale lock


def test_a_stage_that_ignores_interrupts_is_killed(workspace: Path) -> None:
    task = launcher("stubborn", workspace)
    pid = wait_for(workspace / ".state/pid")
    task.send_signal(signal.SIGINT)
    task.communicate(timeout=120)
    assert gone(pid)


def test_a_stage_dies_with_its_launcher(workspace: Path) -> None:
    task = launcher("slow", workspace)
    pid = wait_for(workspace / ".state/pid")
    task.kill()
    task.communicate()
    assert gone(pid)


def test_a_retry_ends_what_a_dead_launcher_left(workspace: Path) -> None:
    task = launcher("stubborn", workspace)  # outlives the interrupt that its launcher's death sends
    pid = wait_for(workspace / ".state/pid")
    task.kill()
    task.communicate()
    assert started(pid) is not None
    text = (workspace / "dvc.yaml").read_text(encoding="utf-8").replace(STUBBORN, "touch stubborn.txt")
    (workspace / "dvc.yaml").write_text(text, encoding="utf-8")
    begun = started(pid)
    assert run("stubborn").status == 0
    assert started(pid) != begun


def test_two_never_run_the_same_stage_and_patience_ends(workspace: Path) -> None:
    with locked(STATE / "copy/lock", 0.0) as ours:
        assert ours
        outcome = run("copy", patience=0.3)
    assert (outcome.status, outcome.how) == (75, "failed")
    with locked(Path(".dvc/tmp/lock"), 0.0) as ours:
        assert ours
        assert run("copy", patience=0.3).status == 75
    assert run("copy").status == 0


@pytest.mark.hard
def test_stages_of_one_workspace_run_at_once_ten_times_over(workspace: Path) -> None:
    addresses = ["many@a", "many@b", "many@c"]
    for turn in range(10):
        (workspace / "in.txt").write_text(f"{turn}\n", encoding="utf-8")
        with ThreadPoolExecutor(3) as pool:
            outcomes = list(pool.map(run, addresses))
        assert [(outcome.status, outcome.how) for outcome in outcomes] == [(0, "ran")] * 3
        lock = yaml.safe_load((workspace / "dvc.lock").read_text(encoding="utf-8"))["stages"]
        assert set(lock) == set(addresses)
        assert {stage["deps"][0]["md5"] for stage in lock.values()} == {
            hashlib.md5((workspace / "in.txt").read_bytes()).hexdigest()
        }
    assert [run(address).how for address in addresses] == ["unchanged"] * 3


@pytest.mark.parametrize("torn", ["", '{"read": {"in.txt": [{"pid": 12'])
def test_a_list_of_claims_that_a_killed_dvc_left_half_written_is_passed_over(workspace: Path, torn: str) -> None:
    (workspace / ".dvc/tmp").mkdir()
    (workspace / ".dvc/tmp/rwlock").write_text(torn, encoding="utf-8")
    assert run("copy").status == 0
    assert (workspace / "out.txt").read_text(encoding="utf-8") == "one\n"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_lock_file_that_a_killed_dvc_left_half_written_gives_way_to_the_former(workspace: Path, share: float) -> None:
    lock = workspace / "dvc.lock"
    assert run("copy").status == 0
    whole = lock.read_bytes()
    lock.write_bytes(whole[: int(share * len(whole))])
    assert run("many@a").status == 0
    assert run("copy").how == "unchanged"
    assert sorted(yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]) == ["copy", "many@a"]


def test_the_first_lock_file_may_be_torn_too_and_a_conflict_in_one_stays_the_users(workspace: Path) -> None:
    lock = workspace / "dvc.lock"
    assert run("defect").status == 1
    lock.write_bytes(b"schema: '2.0'\nsta")
    assert run("copy").status == 0
    conflict = "<<<<<<< ours\n" + lock.read_text(encoding="utf-8")
    lock.write_text(conflict, encoding="utf-8")
    assert run("copy").status == 1
    assert lock.read_text(encoding="utf-8") == conflict


def test_a_claim_that_a_killed_container_left_blocks_no_later_try(workspace: Path) -> None:
    """Its process id lives again in the next container; here it is the test's own."""
    claim = {"pid": os.getpid(), "cmd": "dvc --wait-for-lock repro --single-item copy --force"}
    other = {**claim, "cmd": "dvc --wait-for-lock repro --single-item copying"}
    (workspace / ".dvc/tmp").mkdir()
    claims = {"write": {str(workspace / "out.txt"): claim}, "read": {str(workspace / "in.txt"): [claim, other]}}
    (workspace / ".dvc/tmp/rwlock").write_text(json.dumps(claims), encoding="utf-8")
    assert run("copy", patience=0.3).status == 0
    left = json.loads((workspace / ".dvc/tmp/rwlock").read_text(encoding="utf-8"))
    assert left["read"] == {str(workspace / "in.txt"): [other]}
