"""The views, and which are frontal: the only ones that the model is trained and evaluated on."""

VIEWS = ("PA", "AP", "LATERAL", "OBLIQUE", "UNKNOWN")
# An unknown view is taken for frontal, since whole archives (RSNA Pneumonia among them) hold frontal images only and
# may not say so.
FRONTAL = frozenset({"PA", "AP", "UNKNOWN"})
