"""What is offered of pictures in folders: two sets that AE4AD uses, and two layouts that hold any dataset."""

from uadbench.hookspecs import DatasetSpec

SPECS = (
    DatasetSpec(
        name="brain-tumor-kaggle",
        title="Brain Tumor MRI as it lies on Kaggle, with the counts of AE4AD, drawn by groups of near-duplicates",
        how="uadbench data import brain-tumor-kaggle --root kaggle=<folder or zip>",
        importer="uadbench.datasets.brain_tumor:plans",
        extra="import",
        roots=(("kaggle", "Training/ and Testing/, each with glioma/, meningioma/, notumor/ and pituitary/"),),
        writes=("brain-tumor-ae4-v1",),
    ),
    DatasetSpec(
        name="medianomaly",
        title="The sets of AE4AD with its own splits, from the download that it published (Zenodo 12677223)",
        how="uadbench data import medianomaly --root medianomaly=<folder or zip>",
        importer="uadbench.datasets.medianomaly:plans",
        extra="import",
        roots=(("medianomaly", "one or more of RSNA/, VinCXR/, BrainTumor/ and BraTS2021/, unpacked"),),
        writes=("cxr-rsna-ae4-v1", "cxr-vindr-ae4-v1", "brain-tumor-ae4-v1", "brats2021-ae4-v1"),
    ),
    DatasetSpec(
        name="mvtec",
        title="Any dataset in the layout of MVTec AD: one category, or several beside each other",
        how="uadbench data import mvtec --root mvtec=<folder or zip> --name ... --licence ... --citation ...",
        importer="uadbench.datasets.mvtec:plans",
        extra="import",
        roots=(
            ("mvtec", "[CATEGORY/]train/good/, test/good/, test/DEFECT/ and ground_truth/DEFECT/<picture>_mask.png"),
        ),
    ),
    DatasetSpec(
        name="bids",
        title="Axial slices of any dataset in BIDS, by lesion masks, participants.tsv or both; --modality is a suffix",
        how="uadbench data import bids --root bids=<folder or zip> --name ... --licence ... --citation ...",
        importer="uadbench.datasets.bids.importing:plans",
        extra="import",
        roots=(
            (
                "bids",
                "sub-*/[ses-*/]anat/*_<suffix>.nii.gz, lesion masks, and participants.tsv with group or diagnosis",
            ),
        ),
    ),
)
