"""Containing: an HDF5 file from elsewhere must hold its data itself, and no more than its bytes can say.

HDF5 lets a data set lie in another file (external links, external storage, virtual data sets), run other filters, and
claim terabytes that were never written. None of it is in our layouts.
"""

from collections.abc import Iterator

import h5py

from uadbench.errors import InvalidDataError

# gzip shrinks nothing further than by 1032.
MOST_BYTES_PER_BYTE = 1100
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}
_DEPTH = 2


def require_contained(file: h5py.File) -> None:
    """Refuses a file with a link, foreign storage, a foreign filter, or arrays that its bytes cannot hold.

    Raises:
        InvalidDataError: Names the first such place.
    """
    most = MOST_BYTES_PER_BYTE * file.id.get_filesize()
    for dataset in _datasets(file, _DEPTH):
        where = f"{file.filename}: {dataset.name}"
        if dataset.is_virtual or dataset.external or not _is_plainly_stored(dataset):
            raise InvalidDataError(
                f"{where} is stored outside the file or by a foreign filter. Store it as plain gzip."
            )
        if dataset.nbytes > most:
            raise InvalidDataError(
                f"{where} of shape {dataset.shape} claims more than the file can hold. Write every value."
            )


def _datasets(group: h5py.Group, depth: int) -> Iterator[h5py.Dataset]:
    for name in group:
        where = f"{group.file.filename}: {group.name.rstrip('/')}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise InvalidDataError(f"{where} is a link. Store the data itself there.")
        found = group[name]
        if isinstance(found, h5py.Dataset):
            yield found
        elif depth > 1 and isinstance(found, h5py.Group):
            yield from _datasets(found, depth - 1)
        else:
            raise InvalidDataError(f"{where} is neither a split nor a column of one. Leave it out.")


def _is_plainly_stored(dataset: h5py.Dataset) -> bool:
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    return set(filters) <= _FILTERS and len(set(filters)) == len(filters)
