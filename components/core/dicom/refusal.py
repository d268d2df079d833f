"""Why an object is refused."""

from components.core.params import Objection
from components.core.records.tables import REASONS

__all__ = ["Objection", "Refused"]


class Refused(Exception):
    """An object that gives no image.

    Attributes:
        reason: a code of records.tables.REASONS.
        message: one sentence that holds numbers and standard terms only, nothing that came as text in the object.
    """

    def __init__(self, reason: str, message: str) -> None:
        assert reason in REASONS
        super().__init__(message)
        self.reason, self.message = reason, message
