"""dvc.yaml as stages and edges: the same that DVC sees, and a sentence where DVC's language is not understood."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.core.params import read_yaml
from components.core.tracking import DATA_STAGES
from pipelines.graph import Graph, build_graph, read_graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="module")
def edges_of_dvc() -> dict[str, set[str]]:
    """What DVC itself says that each stage waits for."""
    repository = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "dvc", "dag", "--dot"]
    dot = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    edges: dict[str, set[str]] = {name: set() for name in re.findall(r'^"([^"]+)";$', dot, re.MULTILINE)}
    for maker, user in re.findall(r'^"([^"]+)" -> "([^"]+)";$', dot, re.MULTILINE):
        edges[user].add(maker)
    return edges


def test_stages_and_edges_are_those_of_dvc(graph: Graph, edges_of_dvc: dict[str, set[str]]) -> None:
    assert len(edges_of_dvc) > 10
    assert set(graph.stages) == set(edges_of_dvc)
    for address, makers in edges_of_dvc.items():
        assert graph.upstream[address] == makers, address


def test_every_stage_comes_after_what_it_waits_for(graph: Graph) -> None:
    order = [stage.address for stage in graph.order()]
    assert order[0] == "phantom"
    assert order[-1] == "register"
    for address, makers in graph.upstream.items():
        assert all(order.index(maker) < order.index(address) for maker in makers)


def test_what_schedulers_read(graph: Graph) -> None:
    for stage in graph.stages.values():
        assert stage.description, stage.address
        assert stage.meta["image"] in ("data", "train")
        assert re.fullmatch(r"\d+g", stage.meta["memory"])
        assert (stage.meta["image"] == "data") == (stage.name in DATA_STAGES)
        assert stage.figures is not None
    assert graph.stages["inventory@mimic_cxr"].unpushed == ("data/inventory/mimic_cxr.parquet",)
    assert graph.stages["inventory@mimic_cxr"].always_changed
    assert graph.stages["ingest@mimic_cxr"].item == "mimic_cxr"


def test_parsing_is_quick_to_import(repository: Path) -> None:
    code = "import sys, pipelines.graph; pipelines.graph.read_graph(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert {"dvc", "torch", "mlflow", "numpy", "pandas"} & set(done.stdout.split()) == set()


def test_stages_are_selected_by_address_or_name(graph: Graph, repository: Path) -> None:
    ingests = {f"ingest@{name}" for name in read_yaml(repository / "params.yaml")["datasets"]}
    assert graph.select(["ingest", "pretrain"]) == {*ingests, "pretrain"}
    assert graph.select(["ingest@mimic_cxr"]) == {"ingest@mimic_cxr"}
    with pytest.raises(ValueError, match="there is no stage 'imgest'; there are phantom, "):
        graph.select(["imgest"])


def stages(content: dict[str, Any], **params: Any) -> Graph:
    return build_graph({"stages": content}, params)


def test_foreach_over_lists_and_mappings() -> None:
    over_list = stages({"a": {"foreach": ["x", 3, True], "do": {"cmd": "go ${item}", "outs": ["${item}.txt"]}}})
    assert [(s.address, s.command) for s in over_list.stages.values()] == [
        ("a@x", "go x"), ("a@3", "go 3"), ("a@true", "go true"),
    ]  # fmt: skip
    over_mapping = stages(
        {"a": {"foreach": "${sets}", "do": {"cmd": "go ${key} ${item.size} ${b.c[1]}"}}},
        sets={"x": {"size": 1.5}, "y": {"size": 2}},
        b={"c": ["p", "q"]},
    )
    assert [s.command for s in over_mapping.stages.values()] == ["go x 1.5 q", "go y 2 q"]
    over_mappings = stages({"a": {"foreach": [{"n": "x"}, {"n": "y"}], "do": {"cmd": "go ${item.n}"}}})
    assert [(s.address, s.command) for s in over_mappings.stages.values()] == [("a@0", "go x"), ("a@1", "go y")]


def test_matrix_gives_every_combination() -> None:
    graph = stages(
        {"a": {"matrix": {"task": "${tasks}", "seed": [1, 2]}, "cmd": "go ${item.task} ${item.seed} ${key}"}},
        tasks=["x", "y"],
    )
    assert [(s.address, s.command) for s in graph.stages.values()] == [
        ("a@x-1", "go x 1 x-1"), ("a@x-2", "go x 2 x-2"), ("a@y-1", "go y 1 y-1"), ("a@y-2", "go y 2 y-2"),
    ]  # fmt: skip


def test_edges_follow_folders_both_ways() -> None:
    graph = stages({
        "inside": {"cmd": "x", "outs": ["data/a/b"]},
        "around": {"cmd": "x", "outs": ["data/c"]},
        "beside": {"cmd": "x", "outs": ["data/cc"]},
        "user": {"cmd": "x", "deps": ["data/a", "data/c/d"]},
    })  # fmt: skip
    assert graph.upstream["user"] == {"inside", "around"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"a": {"cmd": ["x", "y"]}}, "stages.a.cmd must be one text"),
        ({"a": {"cmd": "x", "wdir": "src"}}, r"stages.a.wdir is not supported \(supported: always_changed, cmd, "),
        ({"a": {"cmd": "x", "outs": [{"b": {"persist": True}}]}}, "persist switches DVC's run cache off"),
        ({"a": {"cmd": "x", "deps": ["/etc/passwd"]}}, "'/etc/passwd' must be a path inside the repository"),
        ({"a": {"cmd": "x", "deps": ["../b"]}}, "'../b' must be a path inside the repository"),
        ({"a": {"cmd": "x", "deps": "b"}}, "stages.a.deps must be a list"),
        ({"a": {"cmd": "x", "params": [{"other.yaml": ["b"]}]}}, "stages.a.params must be keys of params.yaml"),
        ({"a": {"cmd": "go ${b.c}"}}, r"stages.a: \$\{b.c\} is not in params.yaml"),
        ({"a": {"cmd": "go ${sets}"}}, "only plain values may be put into a text"),
        ({"a": {"foreach": "${sets}", "cmd": "x"}}, "foreach stands with do and nothing else"),
        ({"a": {"foreach": 3, "do": {"cmd": "x"}}}, "stages.a.foreach must be a mapping or a list, not 3"),
        ({"a": {"matrix": {"b": 3}, "cmd": "x"}}, "stages.a.matrix must be a mapping of lists"),
        ({"a": {"cmd": "x", "deps": ["p"], "outs": ["q"]}, "b": {"cmd": "x", "deps": ["q"], "outs": ["p"]}},
         "these stages wait for one another: a, b"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^dvc.yaml: .*" + sentence):
        stages(content, sets=["x"])


@pytest.mark.parametrize("content", [None, [], {"stages": []}, {"stages": {}, "vars": ["x.yaml"]}])
def test_what_is_no_graph_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match=r"^dvc.yaml"):
        build_graph(content, {})


def test_lists_of_mapped_stages_come_from_the_parameters(repository: Path) -> None:
    params = read_yaml(repository / "params.yaml")
    params["datasets"] = {"mine": {"layout": "mimic_cxr", "root": "/x"}}
    params["pretrain"]["dataset"] = "mine"
    params["finetune"]["tasks"] = {"mine": {"dataset": "mine", "kind": "classification"}}
    graph = build_graph(read_yaml(repository / "dvc.yaml"), params)
    assert {stage.item for stage in graph.stages.values()} == {None, "mine"}
