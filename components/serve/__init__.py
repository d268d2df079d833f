"""A trained model as its users call it: one radiograph in, findings, places and an overlay out (no stage)."""
