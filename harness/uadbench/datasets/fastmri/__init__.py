"""fastMRI brain scans with fastMRI+ annotations, in the split of RA. Needs `uadbench[import]`."""
