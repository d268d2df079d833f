"""What may work later."""


class TryAgain(Exception):
    """Something outside failed that may work later, such as a server that does not answer (exit status 75)."""
