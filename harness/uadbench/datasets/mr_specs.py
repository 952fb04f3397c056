"""The importers of brain MRI, as the registry lists them. Nothing heavy is loaded here."""

from uadbench.hookspecs import DatasetSpec

_FASTMRI = ("fastmri", "fastMRI brain: multicoil_train and multicoil_val, with file_brain_*.h5 somewhere below")
_IXI = ("ixi", "IXI T1 NIfTIs as published, or registered by Clinica's t1-linear (uncropped)")

SPECS = (
    DatasetSpec(
        name="fastmri-ra",
        title="fastMRI+ and IXI in RA's split: global pathology and artefacts, and boxes of 13 classes",
        how="uadbench data import fastmri-ra --root fastmri=DIR --root annotations=DIR --root ixi=DIR",
        importer="uadbench.datasets.fastmri.importing:plans",
        extra="import",
        roots=(_FASTMRI, ("annotations", "fastMRI+ annotations: brain.csv"), _IXI),
        writes=("fastmri-global-v1", "fastmri-local-v1"),
    ),
    DatasetSpec(
        name="ixi",
        title="IXI T1 brain slices, healthy only",
        how="uadbench data import ixi --root ixi=DIR",
        importer="uadbench.datasets.ixi:plans",
        extra="import",
        roots=(_IXI,),
        writes=("ixi-v1",),
    ),
    DatasetSpec(
        name="atlas2",
        title="Stroke lesions of ATLAS v2.0 with masks, trained on healthy fastMRI and IXI brains (PHANES)",
        how="uadbench data import atlas2 --root atlas=DIR --root fastmri=DIR --root ixi=DIR",
        importer="uadbench.datasets.atlas:plans",
        extra="import",
        roots=(("atlas", "ATLAS v2.0, decrypted: Training/R001/sub-r001s001/ses-1/anat/*.nii.gz"), _FASTMRI, _IXI),
        writes=("atlas-stroke-v1",),
    ),
    DatasetSpec(
        name="brats2021",
        title="BraTS 2021 FLAIR slices with and without tumour, with masks (AE4AD)",
        how="uadbench data import brats2021 --root brats=DIR",
        importer="uadbench.datasets.brats:plans",
        extra="import",
        roots=(("brats", "BraTS 2021 training set: BraTS2021_00000/BraTS2021_00000_{flair,seg}.nii.gz"),),
        writes=("brats2021-ae4-v1",),
    ),
    DatasetSpec(
        name="mood2020",
        title="MOOD 2020 brain slices, healthy only",
        how="uadbench data import mood2020 --root mood=DIR",
        importer="uadbench.datasets.mood:plans",
        extra="import",
        roots=(("mood", "MOOD 2020 brain volumes: brain/*.nii.gz"),),
        writes=("mood2020-v1",),
    ),
    DatasetSpec(
        name="mood-residual-v1",
        title="Disc, sink, source and shuffled pixels on healthy slices of mood2020-v1 (residual-error pitfalls)",
        how=(
            "uadbench data synthesise mood2020-v1 --suite pit-disc --suite pit-sink-2 --suite pit-source-2 "
            "--suite pit-shuffle --name mood-residual-v1"
        ),
    ),
)
