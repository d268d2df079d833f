"""Present, absent or uncertain: which cue of a sentence reaches which finding."""

from typing import NamedTuple

from components.reports.lexicon import Lexicon
from components.reports.mentions import Item


class Decision(NamedTuple):
    """What is said of a finding.

    Attributes:
        presence: present, absent, uncertain, or ignored: no statement about this image.
        cue: the words that decided, or None where none did.
    """

    presence: str
    cue: Item | None


UNSAID = Decision("present", None)
HEALTHY = frozenset({"normal", "unremarkable"})
CUES = ("cue_before", "cue_after", "cue_either", "stop")
DENYING = ("no", "not", "without")


class _Reach:
    """The cue that is in force while a sentence is read from left to right."""

    def __init__(self) -> None:
        self.cue: Item | None = None
        self.presence = ""
        self.reached = False  # a finding stands between the cue and here
        self.comma = False
        self.place = -1  # of the cue among the items

    def meet(self, cue: Item, place: int) -> None:
        """A new cue takes over, but "no opacity to suggest pneumonia" stays denied, and two denials affirm."""
        presence = cue.value
        if self.cue is not None:
            weaker = presence in ("uncertain", "present") and self.presence != "present"
            if self.presence == "ignored" or (weaker and not self.comma):
                return
            if presence == self.presence == "absent" and place == self.place + 1:
                presence = "present"
        self.cue, self.presence, self.place = cue, presence, place
        self.reached = self.comma = False

    def pass_by(self, item: Item, begins_clause: bool) -> None:
        """Stops end the reach, and so does the verb of a statement that was reached: "no effusion is seen ..."."""
        if item.kind == "stop" or (item.kind == "verb" and self.reached and self.presence != "ignored"):
            self.cue = None
        elif item.kind == "join" and item.value == "comma":
            self.comma = True
            if begins_clause and self.presence == "ignored":
                self.cue = None


def _begins_clause(items: list[Item], index: int) -> bool:
    """Whether what follows a comma has a verb of its own: "history of pneumonia, the lungs are clear"."""
    for position in range(index + 1, len(items)):
        kind = items[position].kind
        if kind == "verb":
            return position > index + 1
        if kind not in ("noun", "place", "adjective"):
            return False
    return False


def _way(items: list[Item], index: int, lexicon: Lexicon) -> str:
    """Where the findings of a cue stand: after or before it, or nowhere.

    A cue that may stand on either side looks back where no finding follows it ("pneumonia is likely"), but not over a
    comma where it may hedge an unknown word ("fractures, likely old"). So does an answer: "pneumothorax: no".
    """
    item = items[index]
    if item.kind != "cue_either":
        return "back" if item.kind == "cue_after" or _answers(items, index) else "forward"
    for other in items[index + 1 :]:
        if other.kind in ("noun", "adjective"):
            return "forward"
        explained = other.kind == "cue_before" and other.value == "present" and item.value == "uncertain"
        if not (explained or other.kind in ("place", "preposition")):
            break
    if not any(other.kind == "noun" for other in items[:index]):
        return "forward"
    aside = item.phrase in lexicon.asides and items[index - 1].kind == "join"
    return "nowhere" if aside else "back"


def _answers(items: list[Item], index: int) -> bool:
    """Whether a denial ends a sentence as an answer: "pneumothorax: no", "pneumothorax - none"."""
    before = items[index - 1] if index else None
    if before is None or index + 1 < len(items):
        return False
    return (items[index].phrase == "no" and before.phrase == ":") or (
        items[index].phrase == "none" and before.kind == "noun"
    )


def _reach_forward(items: list[Item], lexicon: Lexicon) -> list[Decision]:
    decisions = [UNSAID] * len(items)
    reach = _Reach()
    for index, item in enumerate(items):
        if item.kind in ("cue_before", "cue_either") and _way(items, index, lexicon) == "forward":
            reach.meet(item, index)
        elif reach.cue is None:
            continue
        elif item.kind in ("noun", "adjective"):
            # "No effusion, heart size normal" does not deny that it is normal.
            if not (item.value in lexicon.healthy and reach.reached):
                decisions[index] = Decision(reach.presence, reach.cue)
            reach.reached = True
        else:
            reach.pass_by(item, _begins_clause(items, index))
    return decisions


def _reach_back(items: list[Item], cue_index: int) -> list[int]:
    """The findings that a cue after them reaches: the nearest one and those coordinated with it, with their adjectives.

    "Edema or effusion cannot be excluded" is about both, "opacity, pneumonia not excluded" about the second.
    """
    reached: list[int] = []
    coordinated = within = False  # whether "and" or "or" was passed; whether the last item belongs to a reached phrase
    for index in range(cue_index - 1, -1, -1):
        item = items[index]
        if item.kind == "noun" or (item.kind == "adjective" and within):
            reached.append(index)
        ended = item.kind in ("verb", "cue_after", "cue_either") or (item.kind == "join" and not coordinated)
        coordinated = coordinated or (item.kind == "join" and item.value != "comma")
        if (reached and ended and not (item.kind == "join" and item.value != "comma")) or item.kind == "stop":
            break
        if item.kind == "cue_before" and index < cue_index - 1:
            break
        within = bool(reached) and item.kind in ("noun", "adjective", "place")
    return reached


def _backward(items: list[Item], index: int, lexicon: Lexicon) -> Decision | None:
    """What a cue says of the findings before it, or None where it does not look back."""
    item = items[index]
    if (item.kind == "stop" and item.phrase != "none") or _way(items, index, lexicon) != "back":
        return None
    if item.kind in ("cue_before", "stop"):
        return Decision("absent", item)
    if item.value == "absent":
        # "Not seen on the prior study" tells what is new, "has not resolved" what is still there.
        elsewhere = index + 1 < len(items) and items[index + 1].kind == "elsewhere"
        denied = index > 0 and items[index - 1].kind == "cue_before" and items[index - 1].value == "absent"
        if elsewhere or denied:
            return Decision("present", items[index + 1] if elsewhere else items[index - 1])
    return Decision(item.value, item)


def _called_normal(items: list[Item], decisions: list[Decision]) -> None:
    """ "Hilar prominence is within normal limits" denies it, and so does "normal lung markings"."""
    for index, item in enumerate(items):
        if item.kind != "adjective" or HEALTHY.isdisjoint(item.phrase.split()):
            continue
        subject = index - 2 if index > 1 and items[index - 1].kind == "verb" else index + 1
        of_finding = subject < len(items) and items[subject].kind == "noun"
        if of_finding and decisions[index].presence == decisions[subject].presence == "present":
            decisions[subject] = Decision("absent", item)


def _denies_change(cue: Item | None) -> bool:
    """ "No change in A or B" keeps both."""
    return cue is not None and cue.phrase.split()[0] in DENYING


def _alternatives(items: list[Item], decisions: list[Decision]) -> None:
    """Of "scarring or atelectasis" neither is certain, unless both are denied."""
    previous: int | None = None
    between: Item | None = None
    for index, item in enumerate(items):
        if item.kind == "noun":
            if between is not None and previous is not None:
                for place in (previous, index):
                    if decisions[place].presence == "present" and not _denies_change(decisions[place].cue):
                        decisions[place] = Decision("uncertain", between)
            previous, between = index, None
        elif item.kind == "join" and item.value == "or":
            between = item if previous is not None else None
        elif item.kind not in ("place", "side", "zone", "adjective"):
            previous, between = None, None


def decide(items: list[Item], lexicon: Lexicon) -> list[Decision]:
    """The presence of every item, by its index, and the cue that decided; it means something for findings only.

    A cue before its findings reaches to the next stop, the next cue, or the verb after a finding; a cue after
    them reaches back to the nearest finding and those coordinated with it, and overrides; a cue that may stand on
    either side looks forward where a finding follows it. What is called normal is absent, and alternatives that nothing
    denies are uncertain.

    Args:
        items: the sentence.
        lexicon: which pathologies describe a healthy place, and which cues may be asides.
    """
    decisions = _reach_forward(items, lexicon)
    for index, item in enumerate(items):
        said = _backward(items, index, lexicon) if item.kind in CUES else None
        if said is not None:
            for reached in _reach_back(items, index):
                # "If the fever persists, pneumonia should be considered" stays a condition.
                if (decisions[reached].presence, said.presence) != ("ignored", "uncertain"):
                    decisions[reached] = said
    _called_normal(items, decisions)
    _alternatives(items, decisions)
    return decisions
