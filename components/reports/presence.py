"""Present, absent or uncertain: which cue of a sentence reaches which finding."""

from collections.abc import Container

from components.reports.mentions import Item

Decision = tuple[str, str]  # presence (or "ignored") and the cue that decided it
NO_CUE: Decision = ("present", "")


class _Reach:
    """The cue that is in force while a sentence is read from left to right."""

    def __init__(self) -> None:
        self.cue: Decision | None = None
        self.reached = False  # a finding stands between the cue and here
        self.comma = False

    def meet(self, cue: Decision) -> None:
        """A new cue takes over, but "no opacity to suggest pneumonia" stays denied."""
        weaker = cue[0] in ("uncertain", "present") and self.cue is not None and self.cue[0] != "present"
        if self.cue is not None and (self.cue[0] == "ignored" or (weaker and not self.comma)):
            return
        self.cue, self.reached, self.comma = cue, False, False

    def pass_by(self, item: Item) -> None:
        """Stops end the reach, and so does the verb of a statement that was reached: "no effusion is seen ..."."""
        if self.cue is None:
            return
        if item.kind == "stop" or (item.kind == "verb" and self.reached and self.cue[0] != "ignored"):
            self.cue = None
        elif item.kind == "join" and item.value == "comma":
            self.comma = True


def _reach_forward(items: list[Item], healthy: Container[str]) -> list[Decision]:
    decisions = [NO_CUE] * len(items)
    reach = _Reach()
    for index, item in enumerate(items):
        if item.kind == "cue_before":
            reach.meet((item.value, item.phrase))
        elif item.kind in ("noun", "adjective"):
            # "No effusion, heart size normal" does not deny that it is normal.
            if reach.cue and not (item.value in healthy and reach.reached):
                decisions[index] = reach.cue
            reach.reached = True
        else:
            reach.pass_by(item)
    return decisions


def _reach_back(items: list[Item], cue_index: int) -> list[int]:
    """The findings that a cue after them reaches: the nearest one and those coordinated with it."""
    reached: list[int] = []
    for index in range(cue_index - 1, -1, -1):
        kind = items[index].kind
        if kind == "noun":
            reached.append(index)
        elif kind == "stop" or (reached and kind in ("verb", "cue_after")) or kind == "cue_before":
            break
    return reached


def _alternatives(items: list[Item], decisions: list[Decision]) -> None:
    """Of "scarring or atelectasis" neither is certain, unless both are denied."""
    previous: int | None = None
    between = False
    for index, item in enumerate(items):
        if item.kind == "noun":
            if between and previous is not None:
                for place in (previous, index):
                    if decisions[place] == NO_CUE or decisions[place][0] == "present":
                        decisions[place] = ("uncertain", "or")
            previous, between = index, False
        elif item.kind == "join" and item.value == "or":
            between = previous is not None
        elif item.kind not in ("place", "side", "zone", "adjective"):
            previous, between = None, False


def _reaches_nothing(items: list[Item], cue_index: int) -> bool:
    """Whether no finding follows a cue in its clause: "pneumonia is likely"."""
    for item in items[cue_index + 1 :]:
        if item.kind in ("noun", "adjective"):
            return False
        if item.kind in ("stop", "cue_before"):
            break
    return True


def decide(items: list[Item], healthy: Container[str]) -> list[Decision]:
    """The presence of every item, by its index, and the cue that decided; it means something for findings only.

    A cue before its findings reaches to the next stop, the next cue, or the verb after a finding; a cue after
    them reaches back to the nearest finding and those coordinated with it, and overrides; so does an uncertain cue
    that no finding follows. Alternatives that nothing denies are uncertain.

    Args:
        items: the sentence.
        healthy: the pathologies that describe a healthy place.
    """
    decisions = _reach_forward(items, healthy)
    for index, item in enumerate(items):
        turned = item.kind == "cue_before" and item.value == "uncertain" and _reaches_nothing(items, index)
        if item.kind == "cue_after" or turned:
            for reached in _reach_back(items, index):
                decisions[reached] = (item.value, item.phrase)
    _alternatives(items, decisions)
    return decisions
