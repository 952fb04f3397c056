"""The datasets that ship with the harness, offered through the same hook as any plugin's."""

from collections.abc import Sequence

from uadbench.datasets import cxr, folder_specs, mr_specs
from uadbench.hookspecs import DatasetSpec, hookimpl


@hookimpl
def uadbench_datasets() -> Sequence[DatasetSpec]:
    """The built-in phantom, the sets that importers make of downloads, and synthetic anomalies on them."""
    return (
        *BUILT_IN,
        *mr_specs.SPECS,
        *cxr.SPECS,
        *folder_specs.SPECS,
    )


BUILT_IN = (
    DatasetSpec(
        name="brain-phantom-v1",
        title="Synthetic T1 brain slices from the MNI152 template, 12 kinds of anomaly with exact masks",
        how="uadbench data make brain-phantom-v1",
        make="uadbench.datasets.phantom.generation:make",
        extra="phantom",
    ),
    DatasetSpec(
        name="brain-flair-lgg-v1",
        title="FLAIR slices of low-grade glioma with masks (TCGA), healthy = slices far from the lesion",
        how="make data DATA=<folder with lgg_flair/lgg_flair.zip>",
    ),
    DatasetSpec(
        name="chest-xray-nih-v1",
        title="NIH chest X-rays, normal against pneumonia, 44 images with boxes",
        how="make data DATA=<folder with cxr_nih/cxr_nih.zip>",
    ),
    DatasetSpec(
        name="brain-mri-br35h-v1",
        title="Web-collected brain MRI with tumour masks; easy, with a known shortcut",
        how="make data DATA=<folder with brain_mri_br35h/brain_mri_br35h.zip>",
    ),
    DatasetSpec(
        name="synthetic-ra-phantom-v1",
        title="RA's ellipses and copied patches on the healthy test images of brain-phantom-v1",
        how="uadbench data make synthetic-ra-phantom-v1",
        make="uadbench.datasets.synthetic.ra_phantom:make",
        extra="phantom",
    ),
    DatasetSpec(
        name="synthetic-ra-fastmri-v1",
        title="RA's ellipses and copied patches on the healthy test images of a fastMRI set you imported",
        how=(
            "uadbench data synthesise <your fastMRI set> --suite ra-ellipses-n8-12 --suite ra-ellipses-u8-12 "
            "--suite ra-copy-paste --name synthetic-ra-fastmri-v1"
        ),
    ),
)
