"""brain-phantom-v1: synthetic axial brain slices, healthy or with one of twelve kinds of anomaly, made on the spot."""
