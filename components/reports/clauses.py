"""Where a sentence begins a statement of its own although only a comma or "and" stands there."""

from dataclasses import replace

from components.reports.lexicon import COMPANION, LASTING, SIGHTING, Lexicon
from components.reports.mentions import Item

ONE_SIDE = ({"left"}, {"right"})


def separate(items: list[Item], lexicon: Lexicon) -> list[Item]:
    """The items with a stop for every comma or "and" that begins a new statement, and without words of degree.

    A new statement begins where a degree follows ("no pneumothorax, small effusion"), and at a comma between findings
    on opposite sides ("no pneumothorax on the right, effusion on the left"), and after a denial where what follows has
    a verb of its own or is there to stay (see `_asserts`), unless "or" closes the list after it: "no edema, small
    effusion, or pneumothorax" denies all three.
    """
    kinds = [item.kind for item in items]
    if "pronoun" in kinds or "stop" in kinds:
        items = _named(items)
    elif "join" not in kinds and "degree" not in kinds:
        return items
    separated: list[Item] = []
    for index, item in enumerate(items):
        if item.kind == "degree":
            continue
        begins = (
            item.kind == "join"
            and item.value != "or"
            and (_degree_follows(items, index) or _turns(items, index) or _asserts(items, index, lexicon))
        )
        if begins and not _or_follows(items, index):
            # "Left consolidation and small effusion" lie together, what follows a denial lies anywhere.
            together = item.value == "and" and _denied(items, index) is None
            item = replace(item, kind="stop", value=COMPANION if together else item.value)
        separated.append(item)
    return separated


def _named(items: list[Item]) -> list[Item]:
    """The items with the finding for what stands for it: "the right one has resolved", "none on the right"."""
    named: list[Item] = []
    finding: Item | None = None
    for index, item in enumerate(items):
        before, after = (items[place].kind if 0 <= place < len(items) else "" for place in (index - 1, index + 1))
        if item.kind == "noun":
            finding = item
        elif item.phrase == "none" and after == "preposition" and finding is not None:
            named.extend((item, replace(item, kind="cue_before", value="absent")))
            item = replace(finding, start=item.start, end=item.end)
        elif item.kind == "pronoun":
            stands = before in ("side", "degree") and after not in ("noun", "adjective", "place")
            if not stands or finding is None:
                continue
            item = replace(finding, start=item.start, end=item.end)
        named.append(item)
    return named


def _asserts(items: list[Item], index: int, lexicon: Lexicon) -> bool:
    """Whether a denial ends at a join because what follows is said to be there.

    It has a verb that says how it is ("no edema, and the effusion has increased"), after a comma any verb ("no
    effusion, cardiomegaly is present"); or it is there to stay, unlike what was denied ("no pneumothorax, PICC"); or a
    place and its adjective follow a comma ("no effusion, heart enlarged").
    """
    denied = _denied(items, index)
    if denied is None:
        return False
    comma = items[index].value == "comma"
    subject: Item | None = None
    for position in range(index + 1, len(items)):
        item = items[position]
        if item.kind == "noun" or (item.kind == "adjective" and item.value in lexicon.standing):
            if item.value in lexicon.standing and denied not in lexicon.standing and not _is_bare(items, position):
                return True
            subject = subject or item
        elif item.kind == "verb":
            return subject is not None and _says_how(items, position, comma)
        elif item.kind == "adjective":
            if subject is not None and item.value in lexicon.healthy:
                return True
            if comma and subject is None and items[position - 1].kind == "place":
                return position + 1 == len(items) or items[position + 1].kind in ("join", "stop")
        elif item.kind not in ("place", "side", "zone", "degree", "preposition"):
            break
    return False


def _is_bare(items: list[Item], index: int) -> bool:
    """Whether a finding is a mere member of a list: "no nodule, mass, calcification"."""
    last = index + 1 == len(items) or items[index + 1].kind in ("join", "stop")
    return last and items[index - 1].kind == "join"


def _denied(items: list[Item], index: int) -> str | None:
    """The finding next before a join, where a denial before it reaches it."""
    nearest: str | None = None
    for item in reversed(items[:index]):
        if item.kind == "noun":
            nearest = nearest or item.value
        elif item.kind == "cue_before":
            return nearest if item.value == "absent" else None
        elif item.kind in ("stop", "verb"):
            break
    return None


def _says_how(items: list[Item], index: int, after_comma: bool) -> bool:
    """Whether the verb at an index says more than that something is seen: "no edema and effusion is seen" does not."""
    sighted = False
    for item in items[index:]:
        if item.kind != "verb":
            return item.kind in ("degree", "adjective")
        if item.value == LASTING:
            return True
        sighted = sighted or item.value == SIGHTING
    return sighted and after_comma


def _degree_follows(items: list[Item], index: int) -> bool:
    """Whether a degree follows a join between findings: "moderate right and small left effusions" has one only."""
    if index + 1 == len(items) or items[index + 1].kind != "degree":
        return False
    if not any(item.kind in ("noun", "adjective") for item in items[index + 1 :]):
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
