"""Where a finding is: sides and zones to places, places to findings, by coordination, grammar and default sites."""

from components.reports.lexicon import Lexicon
from components.reports.mentions import Item
from components.reports.presence import STATES

SIDE_ONLY = ""  # the value of a place of which only the side is said


def compose(items: list[Item], lexicon: Lexicon) -> list[Item]:
    """Give places their sides and half-named zones their nouns; a side without a place becomes a place of its own."""
    completed = _complete_zones(items, lexicon)
    composed: list[Item] = []
    side, loose = "", -1  # the side in force, and the index in `composed` of one that no place has taken yet
    for item in completed:
        if item.kind == "side":
            if loose >= 0 and composed[-1].kind in ("join", "place") and loose >= len(composed) - 2:
                side = "both" if item.value != side else side
                composed[loose].side = side
                continue
            side = item.value
            item.kind, item.value, item.side = "place", SIDE_ONLY, side
            loose = len(composed)
            composed.append(item)
            continue
        if item.kind == "place":
            if loose >= 0 and not item.side:
                item.side = side
                item.start = composed[loose].start
                item.gap = composed[loose].gap
                del composed[loose:]
            elif side and not item.side and composed and composed[-1].kind == "join":
                item.side = side
            side, loose = item.side, -1
        elif item.kind in ("noun", "verb", "stop"):
            side, loose = "", -1
        elif item.kind not in ("join", "adjective"):
            loose = -1
        composed.append(item)
    return composed


def _complete_zones(items: list[Item], lexicon: Lexicon) -> list[Item]:
    completed: list[Item] = []
    group = ""
    for item in reversed(items):
        if item.kind == "zone":
            if group:
                item.kind, item.value = "place", lexicon.zones[item.value][group]
                completed.append(item)
            continue
        if item.kind == "place":
            group = "lobe" if item.value.endswith("_lobe") else "lung" if item.value.endswith(("_lung", "lung")) else ""
        elif item.kind not in ("join", "side"):
            group = ""
        completed.append(item)
    return completed[::-1]


def _before(items: list[Item], index: int) -> list[Item]:
    """The places that stand before a finding within its noun phrase: "left lower lobe and lingular opacities"."""
    places: list[Item] = []
    for position in range(index - 1, -1, -1):
        item = items[position]
        after_place = position > 0 and items[position - 1].kind == "place"
        if item.kind == "place":
            places.append(item)
        elif not (
            (item.kind == "join" and places and after_place)
            or (item.kind == "adjective" and not places)
            or (item.kind == "cue_before" and not places and after_place)
        ):
            break
    return places[::-1]


def _belongs_to_next(items: list[Item], index: int) -> bool:
    """Whether the place at an index stands before another finding: "opacity and left effusion"."""
    position = index + 1
    while position < len(items) and items[position].kind in ("adjective", "place"):
        position += 1
    return position < len(items) and items[position].kind == "noun"


def _after(items: list[Item], index: int) -> list[Item]:
    """The places that follow a finding: "opacities are seen in the left base and lingula"."""
    places: list[Item] = []
    previous = "noun"
    for position in range(index + 1, len(items)):
        item = items[position]
        if item.kind == "place":
            if _belongs_to_next(items, position) and (places or previous != "preposition"):
                break
            places.append(item)
        elif _ends_after(item, bool(places), previous):
            break
        previous = item.kind
    return places


def _ends_after(item: Item, found: bool, previous: str) -> bool:
    """Whether the search for places after a finding ends here; `found` says that there is one already."""
    if item.kind == "noun":
        return found or previous != "join"
    if item.kind == "cue_before":
        return found or item.value != "present"
    return item.kind == "stop" or (found and item.kind not in ("join", "preposition"))


def _subject(items: list[Item], index: int) -> list[Item]:
    """The places of which an adjective is said: "heart size and mediastinal contours are normal"."""
    places: list[Item] = []
    for position in range(index - 1, -1, -1):
        item = items[position]
        if item.kind == "place":
            places.append(item)
        elif item.kind in ("stop", "noun") or (item.kind in ("verb", "adjective") and places):
            break
    return places[::-1]


def _described(items: list[Item], index: int) -> list[Item] | None:
    """The places that an adjective stands before: "clear lungs"; None where it describes a finding."""
    places: list[Item] = []
    for position in range(index + 1, len(items)):
        item = items[position]
        if item.kind == "place":
            places.append(item)
        elif item.kind == "noun":
            return places or None
        elif item.kind == "join" or (not places and item.kind in ("adjective", "preposition")):
            continue
        else:
            break
    return places


def places_of(items: list[Item], index: int) -> list[Item] | None:
    """The places that the sentence gives to a finding, by its index; None where an adjective describes a finding."""
    item = items[index]
    if item.kind == "adjective":
        return _of_adjective(items, index)
    before, after = _before(items, index), _after(items, index)
    if not before or not after:
        return before or after
    if any(place.side and place.value for place in before):
        return before
    if all(place.side for place in after) or not any(place.side for place in before):
        return after
    side = next(place.side for place in before if place.side)
    for place in after:
        place.side = place.side or side
    return after


def _of_adjective(items: list[Item], index: int) -> list[Item] | None:
    predicate = False
    for position in range(index - 1, -1, -1):
        kind = items[position].kind
        if kind == "verb":
            predicate = True
        if kind not in ("adjective", "join", "cue_before", "side"):
            break
    subject = _subject(items, index)
    if predicate and subject:
        return subject
    described = _described(items, index)
    if described is None:
        return None if items[index].value in STATES else []
    return described or subject


def anatomies_of(pathology: str, places: list[Item], at: str, lexicon: Lexicon) -> tuple[str, ...]:
    """The anatomies at which a pathology is, from its places; its default site where the report names none."""
    site = at or lexicon.sites.get(pathology, "unspecified")
    fixed = pathology in lexicon.only or bool(at)
    found: dict[str, None] = {}
    named = [place for place in places if place.value != SIDE_ONLY]
    for place in named or places:
        name = site if fixed or place.value == SIDE_ONLY else place.value
        side = place.side
        if place.value == SIDE_ONLY and site == "unspecified":
            name = "lung"
        if not side and fixed:
            side = _own_side(place, lexicon)
        found.update(dict.fromkeys(lexicon.places[name].anatomies(side)))
    return tuple(found) or lexicon.places[site].anatomies("")


def _own_side(place: Item, lexicon: Lexicon) -> str:
    """The side of a place that exists on one side only, such as the lingula."""
    names = lexicon.places[place.value].anatomies("")
    for side in ("left", "right"):
        if all(side in name.split("_") for name in names):
            return side
    return ""
