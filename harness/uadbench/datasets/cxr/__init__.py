"""Chest X-rays: importers of four public sets. Nothing heavy is loaded before one of them is asked for."""

from uadbench.hookspecs import DatasetSpec

SPECS = (
    DatasetSpec(
        name="rsna-pneumonia",
        title="RSNA chest X-rays, normal against lung opacity with boxes (AE4AD's set)",
        how="uadbench data import rsna-pneumonia --root rsna=<the challenge's folder or zip>",
        importer="uadbench.datasets.cxr.rsna:plans",
        extra="import",
        roots=(("rsna", "stage_2_train_images/, stage_2_train_labels.csv and stage_2_detailed_class_info.csv"),),
        writes=("cxr-rsna-ae4-v1",),
    ),
    DatasetSpec(
        name="covid19-radiography",
        title="COVID-19 Radiography Database, normal against lung opacity and against Covid-19 (MorphAEus' sets)",
        how="uadbench data import covid19-radiography --root covid=<folder or zip of the database>",
        importer="uadbench.datasets.cxr.covid:plans",
        extra="import",
        roots=(("covid", "COVID-19_Radiography_Dataset/ with COVID, Lung_Opacity and Normal, each with images/"),),
        writes=("cxr-pneumonia-mor-v1", "cxr-covid-mor-v1"),
    ),
    DatasetSpec(
        name="padchest",
        title="PadChest, adults' frontal films that physicians labelled, normal against 16 findings",
        how="uadbench data import padchest --root padchest=<folder with the table and the unpacked image folders>",
        importer="uadbench.datasets.cxr.padchest:plans",
        extra="import",
        roots=(("padchest", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv and the unpacked folders 0 to 54"),),
        writes=("cxr-padchest-v1",),
    ),
    DatasetSpec(
        name="vindr-cxr",
        title="VinDr-CXR, no finding by three readers against films with boxes (AE4AD's set)",
        how="uadbench data import vindr-cxr --root vindr=<folder or zip with train.csv and train/>",
        importer="uadbench.datasets.cxr.vindr:plans",
        extra="import",
        roots=(("vindr", "train.csv and train/ with the .dicom films"),),
        writes=("cxr-vindr-ae4-v1",),
    ),
)
