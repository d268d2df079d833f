"""Where a sentence begins a statement of its own although only a comma or "and" stands there."""

from dataclasses import replace

from components.reports.mentions import Item

ONE_SIDE = ({"left"}, {"right"})


def separate(items: list[Item]) -> list[Item]:
    """The items with a stop for every comma or "and" that begins a new statement, and without words of degree.

    A new statement begins where a degree follows ("no pneumothorax, small effusion"), and at a comma between findings
    on opposite sides ("no pneumothorax on the right, effusion on the left"), unless "or" closes the list after it: "no
    edema, small effusion, or pneumothorax" denies all three.
    """
    separated: list[Item] = []
    for index, item in enumerate(items):
        if item.kind == "degree":
            continue
        begins = item.kind == "join" and item.value != "or" and (_degree_follows(items, index) or _turns(items, index))
        separated.append(replace(item, kind="stop") if begins and not _or_follows(items, index) else item)
    return separated


def _degree_follows(items: list[Item], index: int) -> bool:
    """Whether a degree follows a join after a finding: "moderate right and small left effusions" has none there."""
    if index + 1 == len(items) or items[index + 1].kind != "degree":
        return False
    for item in reversed(items[:index]):
        if item.kind in ("noun", "adjective"):
            return True
        if item.kind == "stop":
            break
    return False


def _turns(items: list[Item], index: int) -> bool:
    """Whether a comma stands between a finding on one side and a finding on the other."""
    if items[index].value != "comma":
        return False
    before, after = _sides(items, range(index - 1, -1, -1)), _sides(items, range(index + 1, len(items)))
    return before in ONE_SIDE and after in ONE_SIDE and before != after


def _sides(items: list[Item], way: range) -> set[str]:
    """The sides that are said with the finding next on the way; none where there is no finding."""
    sides: set[str] = set()
    found = False
    for position in way:
        item = items[position]
        if item.kind in ("join", "stop"):
            break
        found = found or item.kind == "noun"
        side = item.value if item.kind == "side" else item.side
        if side:
            sides.add(side)
    return sides if found else set()


def _or_follows(items: list[Item], index: int) -> bool:
    """Whether "or" closes the list that goes on after a comma."""
    for item in items[index + 1 :]:
        if item.kind == "join" and item.value == "or":
            return True
        if item.kind in ("stop", "verb", "cue_before"):
            return False
    return False
