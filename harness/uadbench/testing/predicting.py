"""Checks of what a fitted method predicts."""

from uadbench.errors import ContractError
from uadbench.testing.blobs import blanks, copied, read_only
from uadbench.testing.case import Case
from uadbench.testing.comparing import joined, require_map_shape, require_reconstruction_shape, require_same


def shapes(subject: Case) -> None:
    """Maps, scores and reconstructions have the shape of the images."""
    require_map_shape(subject, subject.images, subject.prediction)
    require_reconstruction_shape(subject, subject.images, subject.prediction)


def finite(subject: Case) -> None:
    """Maps and scores are finite, also for black, white and empty images."""
    try:
        subject.predict(subject.detector, blanks(subject.side, subject.side))
    except ContractError as error:
        raise ContractError(
            f"{subject.name}: fails on images without structure (black, white, half grey): {error} "
            "A mean, standard deviation or histogram of nothing needs a guard."
        ) from error


def one_image(subject: Case) -> None:
    """A single image can be predicted."""
    found = subject.predict(subject.detector, subject.images[:1])
    if len(found.maps) != 1:
        raise ContractError(f"{subject.name}: 1 image gave {len(found.maps)} maps. Keep the batch axis.")


def batch(subject: Case) -> None:
    """Maps and scores do not depend on batch size, order or what was predicted before, bit by bit."""
    images, whole = subject.images, subject.prediction
    ways = {
        "all images once more": [images],
        "batches of 3": [images[:3], images[3:]],
        "reversed order": [images[::-1]],
    }
    if _takes_one(subject):
        ways["batches of 1"] = [images[row : row + 1] for row in range(len(images))]
    for way, batches in ways.items():
        parts = [subject.predict(subject.detector, batch) for batch in batches]
        found = joined(parts, reverse=way.startswith("reversed"))
        require_same(
            whole,
            found,
            f"{subject.name}: predicting {way} differs from predicting all images at once",
            "Normalise per image, put networks into eval mode, and derive noise from (seed, image content).",
        )


def _takes_one(subject: Case) -> bool:
    # A method that fails on one image is the finding of `one-image`; `batch` still compares the other ways.
    try:
        one_image(subject)
    except ContractError:
        return False
    return True


def inputs(subject: Case) -> None:
    """Predicting writes nothing into its inputs, and takes arrays that cannot be written."""
    given = copied(subject.images)
    subject.predict(subject.detector, given, copy=False)
    for name in ("pixels", "foreground"):
        if getattr(given, name).tobytes() != getattr(subject.images, name).tobytes():
            raise ContractError(f"{subject.name}: predict changed images.{name}. Copy what you write into.")
    subject.predict(subject.detector, read_only(subject.images), copy=False)


def save_load(subject: Case) -> None:
    """A detector that was saved, moved and loaded gives the same maps."""
    loaded = subject.reload(subject.detector)
    require_same(
        subject.prediction,
        subject.predict(loaded, subject.images),
        f"{subject.name}: the detector predicts otherwise after save and load",
        "Save everything that predict uses, with its dtype, and no path outside the folder.",
    )


def reconstructs(subject: Case) -> None:
    """The spec says whether reconstructions are returned."""
    returned = subject.prediction.reconstructions is not None
    if returned != subject.spec.reconstructs:
        raise ContractError(
            f"{subject.name}: the spec says reconstructs={subject.spec.reconstructs}, but predict returns "
            f"{'some' if returned else 'none'}. Make them agree."
        )


def seed(subject: Case) -> None:
    """The seed decides the maps; a method that is not stochastic gives the same maps for every seed."""
    other = 0 if subject.spec.stochastic else 1
    detector = subject.fit(subject.make(), subject.side, subject.side, seed=other)
    require_same(
        subject.prediction,
        subject.predict(detector, subject.images),
        f"{subject.name}: fits with seed 0 and seed {other} differ, yet stochastic={subject.spec.stochastic}",
        "Draw all randomness from a generator seeded by context.seed, and say stochastic=True in the spec.",
    )
