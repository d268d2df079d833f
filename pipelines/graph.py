"""dvc.yaml as stages and edges. PyYAML only; knows no scheduler and does not import DVC.

What is understood of dvc.yaml's language, and everything else is refused with a sentence:
  - top level: `stages`; `plots`, `metrics` and `params` are DVC's own business and are passed over;
  - a stage: cmd (one text), deps, outs, metrics, plots, params (keys of params.yaml), desc, meta, always_changed;
  - `foreach:` over a mapping (`${key}`, `${item}`, `${item.a}`) or a list (`${item}`), given in place or as `${…}`;
  - `matrix:` of lists of plain values (`${item.axis}`, `${key}`);
  - `${a.b}` and `${a[0]}` of params.yaml within texts.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from components.core.params import read_yaml
from components.core.paths import metrics_file

TOP_KEYS = {"stages", "plots", "metrics", "params"}
STAGE_KEYS = {"cmd", "deps", "outs", "metrics", "plots", "params", "desc", "meta", "always_changed"}
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Stage:
    """One stage as DVC runs it; of a mapped stage, one item.

    Attributes:
        address: DVC's name for it, such as `ingest@mimic_cxr`.
        name: the stage's name in dvc.yaml, such as `ingest`.
        item: what comes after the `@`, or None.
        over: what a mapped stage is mapped over, such as `datasets` for `foreach: ${datasets}`; its own name where
            that is not one list of params.yaml; None for a stage that is not mapped. Stages that are mapped over the
            same have the same items.
        command: the shell command.
        deps: the files and folders it reads.
        outs: the files and folders it writes, metrics and plots among them.
        figures: that of `outs` which holds its figures, `metrics/<stage>[/<item>].json`, or None.
        unpushed: those of `outs` that never leave this machine.
        params: the keys of params.yaml that it depends on.
        description: `desc`.
        meta: what schedulers read.
        always_changed: whether DVC runs it every time.
    """

    address: str
    name: str
    item: str | None
    over: str | None
    command: str
    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    figures: str | None = None
    unpushed: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    description: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    always_changed: bool = False


@dataclass(frozen=True)
class Graph:
    """The stages by address, in the order of dvc.yaml, and for each the addresses that it waits for."""

    stages: Mapping[str, Stage]
    upstream: Mapping[str, frozenset[str]]

    def order(self) -> list[Stage]:
        """The stages, each after all that it waits for, otherwise in the order of dvc.yaml.

        Raises:
            ValueError: stages wait for one another in a circle.
        """
        waiting, ordered = list(self.stages), list[str]()
        while waiting:
            ready = next((address for address in waiting if self.upstream[address] <= set(ordered)), None)
            if ready is None:
                raise ValueError(f"dvc.yaml: these stages wait for one another: {', '.join(waiting)}")
            ordered.append(ready)
            waiting.remove(ready)
        return [self.stages[address] for address in ordered]

    def stage(self, address: str) -> Stage:
        """The stage of an address.

        Raises:
            ValueError: there is none.
        """
        if address not in self.stages:
            raise ValueError(f"there is no stage {address!r}; there are {', '.join(self.stages)}")
        return self.stages[address]

    def names(self) -> dict[str, list[Stage]]:
        """The stages by their name in dvc.yaml, in its order: one, or one for each item."""
        by_name: dict[str, list[Stage]] = {}
        for stage in self.stages.values():
            by_name.setdefault(stage.name, []).append(stage)
        return by_name

    def upstream_names(self) -> dict[str, set[str]]:
        """For each name of dvc.yaml those that it waits for, whatever the item."""
        waits: dict[str, set[str]] = {name: set() for name in self.names()}
        for address, makers in self.upstream.items():
            waits[self.stages[address].name] |= {self.stages[maker].name for maker in makers}
        return waits

    def items(self) -> dict[str, list[str]]:
        """What mapped stages are mapped over, and the items of each."""
        found: dict[str, list[str]] = {}
        for stage in self.stages.values():
            if stage.over is not None and stage.item is not None and stage.item not in found.setdefault(stage.over, []):
                found[stage.over].append(stage.item)
        return found

    def select(self, names: list[str]) -> set[str]:
        """The addresses that are meant by addresses or by names of mapped stages.

        Raises:
            ValueError: there is no such stage.
        """
        selected: set[str] = set()
        for name in names:
            meant = {stage.address for stage in self.stages.values() if name in (stage.address, stage.name)}
            if not meant:
                raise ValueError(f"there is no stage {name!r}; there are {', '.join(self.stages)}")
            selected |= meant
        return selected


def _look_up(expression: str, values: Mapping[str, Any], where: str) -> Any:
    """The value of what stands in `${…}`."""
    node: Any = values
    for part in expression.strip().replace("[", ".").replace("]", "").split("."):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            raise ValueError(f"dvc.yaml: {where}: ${{{expression}}} is not in params.yaml")
    return node


def _text(value: Any, where: str) -> str:
    """A plain value as DVC writes it into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"dvc.yaml: {where}: only plain values may be put into a text, not {value!r}")


def _resolve(template: Any, values: Mapping[str, Any], where: str) -> Any:
    """A part of dvc.yaml with every `${…}` replaced."""
    if isinstance(template, str):
        whole = PLACEHOLDER.fullmatch(template)
        if whole:
            return _look_up(whole.group(1), values, where)
        return PLACEHOLDER.sub(lambda match: _text(_look_up(match.group(1), values, where), where), template)
    if isinstance(template, Mapping):
        return {_resolve(key, values, where): _resolve(value, values, where) for key, value in template.items()}
    if isinstance(template, list):
        return [_resolve(value, values, where) for value in template]
    return template


def _paths(entries: Any, where: str) -> dict[str, Mapping[str, Any]]:
    """Paths of a list of dvc.yaml, each with its options: `- a` and `- a: {push: false}`."""
    if not isinstance(entries, list | None):
        raise ValueError(f"dvc.yaml: {where} must be a list")
    paths: dict[str, Mapping[str, Any]] = {}
    for entry in entries or []:
        pairs = entry.items() if isinstance(entry, Mapping) else [(entry, {})]
        for path, options in pairs:
            if not isinstance(path, str) or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"dvc.yaml: {where}: {path!r} must be a path inside the repository")
            if (options or {}).get("persist"):
                raise ValueError(f"dvc.yaml: {where}: persist switches DVC's run cache off; it may not be used")
            paths[path.rstrip("/")] = options or {}
    return paths


def _stage(name: str, item: str | None, over: str | None, content: Mapping[str, Any]) -> Stage:
    """A stage from its resolved content."""
    where = f"stages.{name}"
    unknown = set(content) - STAGE_KEYS
    if unknown:
        raise ValueError(
            f"dvc.yaml: {where}.{min(unknown)} is not supported (supported: {', '.join(sorted(STAGE_KEYS))})"
        )
    if not isinstance(content.get("cmd"), str):
        raise ValueError(f"dvc.yaml: {where}.cmd must be one text")
    params = content.get("params") or []
    if not all(isinstance(key, str) for key in params):
        raise ValueError(f"dvc.yaml: {where}.params must be keys of params.yaml")
    outs = {
        path: options
        for kind in ("outs", "metrics", "plots")
        for path, options in _paths(content.get(kind), f"{where}.{kind}").items()
    }
    figures = metrics_file(name, item).as_posix()
    return Stage(
        address=name if item is None else f"{name}@{item}",
        name=name,
        item=item,
        over=over,
        command=content["cmd"],
        deps=tuple(_paths(content.get("deps"), f"{where}.deps")),
        outs=tuple(outs),
        figures=figures if figures in outs else None,
        unpushed=tuple(path for path, options in outs.items() if options.get("push") is False),
        params=tuple(params),
        description=content.get("desc", ""),
        meta=content.get("meta") or {},
        always_changed=bool(content.get("always_changed")),
    )


def _items_of_foreach(entries: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The items of a `foreach`: the name of each and what its texts may refer to."""
    if isinstance(entries, Mapping):
        for key, item in entries.items():
            yield _text(key, where), {"key": key, "item": item}
    elif isinstance(entries, list | tuple):
        plain = not any(isinstance(item, Mapping | list | tuple) for item in entries)
        for index, item in enumerate(entries):
            yield _text(item if plain else index, where), {"item": item}
    else:
        raise ValueError(f"dvc.yaml: {where} must be a mapping or a list, not {entries!r}")


def _items_of_matrix(axes: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The items of a `matrix`: every combination of its axes."""
    if not isinstance(axes, Mapping) or not all(isinstance(values, list | tuple) for values in axes.values()):
        raise ValueError(f"dvc.yaml: {where} must be a mapping of lists, not {axes!r}")
    for combination in itertools.product(*axes.values()):
        key = "-".join(_text(value, where) for value in combination)
        yield key, {"key": key, "item": dict(zip(axes, combination, strict=True))}


def _over(name: str, *lists: Any) -> str:
    """What a mapped stage is mapped over: one list of params.yaml by its path, or its own name."""
    whole = PLACEHOLDER.fullmatch(lists[0]) if len(lists) == 1 and isinstance(lists[0], str) else None
    return whole.group(1).strip() if whole else name


def _expand(name: str, content: Any, params: Mapping[str, Any]) -> Iterator[Stage]:
    """The stages that one entry of dvc.yaml stands for."""
    where = f"stages.{name}"
    if not isinstance(content, Mapping):
        raise ValueError(f"dvc.yaml: {where} must be a mapping")
    if "foreach" in content:
        unknown = set(content) - {"foreach", "do"}
        if unknown or "do" not in content:
            raise ValueError(f"dvc.yaml: {where}: foreach stands with do and nothing else")
        items = _items_of_foreach(_resolve(content["foreach"], params, where), f"{where}.foreach")
        over = _over(name, content["foreach"])
        template = content["do"]
    elif "matrix" in content:
        items = _items_of_matrix(_resolve(content["matrix"], params, where), f"{where}.matrix")
        over = _over(name, *content["matrix"].values())
        template = {key: value for key, value in content.items() if key != "matrix"}
    else:
        yield _stage(name, None, None, _resolve(content, params, where))
        return
    for item, values in items:
        yield _stage(name, item, over, _resolve(template, {**params, **values}, f"{where}@{item}"))


def _parts(paths: Iterable[str]) -> list[tuple[str, ...]]:
    return [PurePosixPath(path).parts for path in paths]


def _overlap(some: list[tuple[str, ...]], others: list[tuple[str, ...]]) -> bool:
    """Whether a path of some is one of the others, or one lies in the other; each by its parts."""
    return any(one[: len(other)] == other[: len(one)] for one in some for other in others)


def build_graph(content: Any, params: Mapping[str, Any]) -> Graph:
    """The graph of a dvc.yaml's content under the content of a params.yaml.

    Raises:
        ValueError: dvc.yaml uses what is not supported, or names a parameter that is not there.
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("stages"), Mapping):
        raise ValueError("dvc.yaml must be a mapping with stages")
    unknown = set(content) - TOP_KEYS
    if unknown:
        raise ValueError(f"dvc.yaml: {min(unknown)} is not supported (supported: {', '.join(sorted(TOP_KEYS))})")
    stages = {
        stage.address: stage for name, entry in content["stages"].items() for stage in _expand(name, entry, params)
    }
    deps = {address: _parts(stage.deps) for address, stage in stages.items()}
    outs = {address: _parts(stage.outs) for address, stage in stages.items()}
    upstream = {
        address: frozenset(maker for maker in stages if _overlap(deps[address], outs[maker])) for address in stages
    }
    graph = Graph(stages, upstream)
    graph.order()
    return graph


def read_graph(folder: Path = Path()) -> Graph:
    """The graph of a checkout: its dvc.yaml under its params.yaml (see `build_graph`)."""
    return build_graph(read_yaml(folder / "dvc.yaml"), read_yaml(folder / "params.yaml"))
