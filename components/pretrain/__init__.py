"""MeDSLIP's pretraining: images and the findings of their reports to a model."""
