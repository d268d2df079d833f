"""Where a finding is: sides and zones to places, places to findings, by coordination, grammar and default sites."""

from dataclasses import replace

from components.reports.lexicon import COMPANION, Lexicon
from components.reports.mentions import Item

SIDE_ONLY = ""  # the value of a place of which only the side is said
CHEST = ("pulmonary", "pleura", "interstitium")  # default sites of what may accompany a finding in the lungs


def compose(items: list[Item], lexicon: Lexicon) -> list[Item]:
    """Give places their sides and half-named zones their nouns; a side without a place becomes a place of its own."""
    composed: list[Item] = []
    side = ""  # the side in force within a coordination of places
    loose: Item | None = None  # a side that no place has taken yet
    for item in _complete_zones(items, lexicon):
        before = composed[-1] if composed else None
        if item.kind == "side":
            if loose is not None and before is not None and before.kind == "join" and composed[-2] is loose:
                composed.pop()
                loose.side = side = item.value if item.value == side else "both"
                continue
            side = item.value
            loose = Item("place", SIDE_ONLY, item.phrase, item.start, item.end, side)
            item = loose
        elif item.kind == "place":
            if loose is not None and before is loose and not item.side:
                composed.pop()
                item.side, item.start = side, loose.start
            elif not item.side and before is not None and before.kind in ("join", "place"):
                item.side = side
            side, loose = item.side, None
        elif item.kind != "join":
            loose = loose if item.kind == "adjective" else None
            side = side if item.kind == "adjective" else ""
        composed.append(item)
    return composed


def _complete_zones(items: list[Item], lexicon: Lexicon) -> list[Item]:
    """ "Mid and upper lung zones": a zone takes its noun from the next place, and is dropped where there is none."""
    completed: list[Item] = []
    group = ""
    for item in reversed(items):
        if item.kind == "preposition" and item.phrase == "to" and group:
            item = replace(item, kind="join", value="and")  # "mid to lower lung"
        if item.kind == "zone":
            if group:
                item = Item("place", lexicon.zones[item.value][group], item.phrase, item.start, item.end)
                completed.append(item)
            continue
        if item.kind == "place":
            group = lexicon.groups.get(item.value, "")
        elif item.kind not in ("join", "side"):
            group = ""
        completed.append(item)
    return completed[::-1]


class Grammar:
    """The places of each finding of a sentence, found from left to right."""

    def __init__(self, items: list[Item], lexicon: Lexicon) -> None:
        self.items, self.lexicon = items, lexicon
        self.taken: set[int] = set()  # the places that an earlier finding has
        self.inherited: list[Item] = []  # the places of the finding before
        self.companion = False  # whether a companion stands between

    def places(self, index: int) -> list[Item] | None:
        """The places of a finding; an empty list where none is said, None where it is no finding of its own.

        Must be asked for the findings in their order.
        """
        item = self.items[index]
        places = self._of_noun(index) if item.kind == "noun" else self._of_adjective(index)
        if places is None:
            return None
        if item.kind == "noun":
            if self._inherits(item) and not any(place.side or place.value not in self.lexicon.weak for place in places):
                places = self.inherited
            elif self._lies_with_the_last(index):
                places = self._sided(places)
            places = places or self._topic(index)
            self.inherited = places
        self.taken.update(map(id, places))
        return places

    def _inherits(self, item: Item) -> bool:
        """Whether a finding without a place may lie where the one before it does."""
        in_chest = item.site or self.lexicon.sites.get(item.value) in CHEST
        return bool(self.inherited) and (bool(in_chest) or not self.companion)

    def _lies_with_the_last(self, index: int) -> bool:
        """Whether "and" or a companion joins a finding to the one before it."""
        position = index - 1
        while position >= 0 and self.items[position].kind in ("place", "adjective"):
            position -= 1
        return position >= 0 and self.items[position].value in ("and", COMPANION)

    def _sided(self, places: list[Item]) -> list[Item]:
        """ "Left effusion and basilar atelectasis": places without a side take the one side of the finding before."""
        sides = {place.side for place in self.inherited}
        if len(sides) != 1 or not sides <= {"left", "right"} or any(place.side for place in places):
            return places
        side = sides.pop()
        return [replace(place, side=side) if self.lexicon.places[place.value].has(side) else place for place in places]

    def pass_stop(self, stop: Item) -> None:
        """A new clause begins: what follows inherits nothing, or after a companion a place in the lungs."""
        self.companion = stop.value == COMPANION
        self.inherited = [
            place
            for place in self.inherited
            if self.companion and (place.value == SIDE_ONLY or place.value in self.lexicon.groups)
        ]

    def _of_noun(self, index: int) -> list[Item]:
        before, (after, shared) = self._before(index), self._after(index)
        if not before or not after:
            return before or after
        if shared:  # "hilar enlargement or calcification of the aorta"
            return before
        if all(place.value == SIDE_ONLY for place in after):
            return self._with_sides(before, after)
        if any(place.side and place.value for place in before):
            return before
        side = next((place.side for place in before if place.side), "")
        for place in after:
            place.side = place.side or side
        return after

    def _with_sides(self, before: list[Item], after: list[Item]) -> list[Item]:
        """ "Mid lung opacities bilaterally"; "left effusion, and on the right as well": here both sides are meant."""
        if not after:
            return before
        if any(place.side for place in before):
            return before + after if all(place.value == SIDE_ONLY for place in before) else before
        return [
            Item("place", place.value, place.phrase, place.start, place.end, side.side)
            for place in before
            for side in after
        ]

    def _before(self, index: int) -> list[Item]:
        """The places before a finding within its noun phrase: "left lower lobe and lingular opacities"."""
        places: list[Item] = []
        nearest = 0  # how many places stand after the last join
        for position in range(index - 1, -1, -1):
            item = self.items[position]
            after_place = position > 0 and self.items[position - 1].kind == "place"
            if item.kind == "place":
                places.append(item)
            elif item.kind == "join" and places and after_place:
                nearest = nearest or len(places)
            elif item.kind == "preposition" or (item.kind == "adjective" and places):
                # "in the right base and lingular scarring", "normal heart and aortic ectasia": the first is another's.
                return places[: nearest or len(places)][::-1]
            elif item.kind == "cue_before" and not places and after_place:
                in_lungs = self.lexicon.sites.get(self.items[index].value) in CHEST
                if in_lungs and self.items[position - 1].value in self.lexicon.airless:
                    break
            elif item.kind != "adjective":
                break
        return places[::-1]

    def _after(self, index: int) -> tuple[list[Item], bool]:
        """The places after a finding, "opacities in the left base and lingula", and whether a noun between shares them.

        Of what has a course the last place counts: "a tube through the trachea into the stomach".
        """
        places: list[Item] = []
        previous = "noun"
        shared = False
        courses = self.items[index].value in self.lexicon.courses
        for position in range(index + 1, len(self.items)):
            item = self.items[position]
            if item.kind == "place":
                if self._belongs_to_next(position) and (places or not self._continues(position)):
                    break
                if previous == "join" and not places and self._is_subject(position):
                    break
                places.append(item)
            elif item.kind == "preposition" and places and courses:
                places = []
            elif _ends_after(item, bool(places), previous):
                break
            shared = shared or item.kind == "noun"
            previous = item.kind
        return places, shared and bool(places)

    def _continues(self, index: int) -> bool:
        """Whether a preposition ties a place to what stands before: not in "effusion, on the left edema"."""
        tied = index > 0 and self.items[index - 1].kind == "preposition"
        return tied and not (index > 1 and self.items[index - 2].value == "comma")

    def _belongs_to_next(self, index: int) -> bool:
        """Whether the place at an index stands before another finding: "opacity and left effusion"."""
        position = index + 1
        while position < len(self.items) and self.items[position].kind in ("adjective", "place"):
            position += 1
        return position < len(self.items) and self.items[position].kind == "noun"

    def _is_subject(self, index: int) -> bool:
        """Whether the place at an index has a verb of its own: "no edema, and the heart is large"."""
        position = index + 1
        while position < len(self.items) and self.items[position].kind in ("place", "join", "adjective"):
            position += 1
        return position < len(self.items) and self.items[position].kind == "verb"

    def _topic(self, index: int) -> list[Item]:
        """A place that stands before its clause: "in the left lower lobe there is a nodule"."""
        places: list[Item] = []
        for position in range(index - 1, -1, -1):
            item = self.items[position]
            if item.kind == "place" and id(item) not in self.taken:
                places.append(item)
            elif item.kind in ("noun", "place") or (places and item.kind != "join"):
                break
        return places[::-1]

    def _of_adjective(self, index: int) -> list[Item] | None:
        """The places that an adjective describes; those of the finding that it describes, or None where it may not."""
        of_findings = self.items[index].value not in self.lexicon.of_places
        subject = self._subject(index) if self._is_predicate(index) or self._stands_alone(index) else []
        if subject:
            return self._with_sides(subject, self._sides_after(index))
        places: list[Item] = []
        own = 0  # how many of them stand before the last join
        for position in range(index + 1, len(self.items)):
            item = self.items[position]
            if item.kind == "place":
                places.append(item)
            elif item.kind == "join":
                own = len(places)
            elif item.kind == "noun":
                # "Normal heart and aortic tortuosity": what stands before the last join is the adjective's.
                return places[:own] or (self._of_noun(position) if of_findings else None)
            elif item.kind != "adjective" or places:
                break
        if places and places[-1].value == SIDE_ONLY:  # "blunted costophrenic angles bilaterally"
            named = [place for place in places if place.value != SIDE_ONLY]
            places = self._with_sides(named, places[-1:]) if named else places
        places = places or self._subject(index) or self._elided_subject(index)
        return places if places or of_findings else None

    def _sides_after(self, index: int) -> list[Item]:
        """The sides said after an adjective: "the hila are enlarged bilaterally"."""
        for item in self.items[index + 1 :]:
            if item.kind == "place" and item.value == SIDE_ONLY:
                return [item]
            if item.kind != "preposition":
                break
        return []

    def _is_predicate(self, index: int) -> bool:
        """Whether a verb stands before an adjective: "the lungs are clear"."""
        position = index - 1
        while position >= 0 and self.items[position].kind in ("adjective", "join", "cue_before", "preposition"):
            position -= 1
        return position >= 0 and self.items[position].kind == "verb"

    def _stands_alone(self, index: int) -> bool:
        """Whether an adjective ends its clause after its place, without a verb: "heart size normal"."""
        followed = index + 1 < len(self.items) and self.items[index + 1].kind not in ("join", "stop")
        position = index - 1
        while position > 0 and self.items[position].kind == "cue_before":
            position -= 1
        return position >= 0 and self.items[position].kind == "place" and not followed

    def _subject(self, index: int) -> list[Item]:
        """The places before an adjective: "heart size and mediastinal contours are normal"."""
        places: list[Item] = []
        for position in range(index - 1, -1, -1):
            item = self.items[position]
            if item.kind == "place":
                places.append(item)
            elif item.kind in ("stop", "noun") or (places and item.kind in ("verb", "adjective")):
                break
        return places[::-1]

    def _elided_subject(self, index: int) -> list[Item]:
        """The subject of the adjective before a stop: "the lungs are well inflated but not hyperinflated"."""
        position = index - 1
        while position >= 0 and self.items[position].kind == "cue_before":
            position -= 1
        if position > 0 and self.items[position].kind == "stop" and self.items[position - 1].kind == "adjective":
            return self._subject(position - 1)
        return []


def _ends_after(item: Item, found: bool, previous: str) -> bool:
    """Whether the search for places after a finding ends here; `found` says that there is one already."""
    if item.kind == "noun":
        return found or previous != "join"
    if item.kind == "cue_before":
        return found or item.value != "present"
    if item.kind == "preposition":
        return found and previous != "join"
    return item.kind == "stop" or (found and item.kind != "join")


Pair = tuple[str, str]


def pairs(item: Item, places: list[Item], presence: str, lexicon: Lexicon) -> tuple[list[Pair], list[Pair]]:
    """The (pathology, anatomy) pairs of a mention at its places, and those that it rules out if it is present.

    "Enlarged" at the heart is cardiomegaly; where the report names no place it is the finding's default site.
    """
    named: list[Item | None] = [*_named(item, places, lexicon)] or [*places] or [None]
    said: list[Pair] = []
    ruled_out: list[Pair] = []
    for place in named:
        where = place.value if place else ""
        pathology = lexicon.meanings.get((item.value, where), item.value)
        # A PICC is a catheter, but no PICC is not no catheter.
        wider = lexicon.also.get(pathology, ()) if presence != "absent" else ()
        for name in (pathology, *wider):
            said.extend((name, anatomy) for anatomy in anatomies(name, item, place, lexicon))
        for name in lexicon.entailments.get((item.value, where), ()):
            ruled_out.extend((name, anatomy) for anatomy in anatomies(name, item, place, lexicon))
    return said, ruled_out


def _named(item: Item, places: list[Item], lexicon: Lexicon) -> list[Item]:
    """The places of which more than the side is said, without weak ones and mere landmarks where there are others."""
    named = [place for place in places if place.value != SIDE_ONLY]
    telling = [
        place for place in named if place.value not in lexicon.weak or lexicon.places[place.value].has(place.side)
    ]
    named = telling or named
    if item.value in lexicon.before_landmarks:
        return [place for place in named if place.value not in lexicon.landmarks] or named
    return named


def anatomies(pathology: str, item: Item, place: Item | None, lexicon: Lexicon) -> tuple[str, ...]:
    """The anatomies of a pathology that an item says, at one place, or at its default site."""
    site = item.at or item.site or lexicon.sites.get(pathology, "unspecified")
    if place is None:
        return lexicon.places[site].anatomies("")
    fixed = bool(item.at) or pathology in lexicon.only
    if not fixed and place.value != SIDE_ONLY:
        return lexicon.places[place.value].anatomies(place.side)
    if site == "unspecified" and not fixed:
        site = "lung"
    return lexicon.places[site].anatomies(place.side or _own_side(place, lexicon))


def _own_side(place: Item, lexicon: Lexicon) -> str:
    """The side of a place that exists on one side only, such as the lingula."""
    names = lexicon.places[place.value].anatomies("")
    for side in ("left", "right"):
        if all(side in name.split("_") for name in names):
            return side
    return ""
