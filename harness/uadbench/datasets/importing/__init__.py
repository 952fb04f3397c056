"""What all importers share: from files that a user has to the two files of a dataset. Needs `uadbench[import]`."""
