"""Which views are frontal: the only ones that the model is trained and evaluated on."""

# As the tables of MIMIC-CXR and the DICOM attribute View Position (0018,5101) name them. An unknown view is taken for
# frontal, since whole archives (RSNA Pneumonia among them) hold frontal images only and may not say so.
FRONTAL = frozenset({"PA", "AP", "AP AXIAL", "UNKNOWN"})
