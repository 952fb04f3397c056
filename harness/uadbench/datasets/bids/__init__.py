"""Datasets in the layout of BIDS: slices of volumes, whose participants or lesion masks say what is healthy."""
