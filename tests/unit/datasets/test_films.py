"""DICOM films: what each element of the header does to the values, computed by hand; and what is refused."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from uadbench.datasets.importing.films import read_film
from uadbench.errors import InvalidDataError, MissingLibraryError

THIRDS = [[0, 1365], [2730, 4095]]  # of 12 bits
SHOWN = [[0, 1 / 3], [2 / 3, 1]]


def film(stored, *, bits=12, signed=False, syntax=ExplicitVRLittleEndian, **elements):
    """A film of these stored values as a FileDataset, with more or other elements."""
    stored = np.asarray(stored, np.int16 if signed else np.uint16)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    file.Rows, file.Columns = stored.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, bits, bits - 1, int(signed)
    file.PixelData = stored.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    return file


def raw(file):
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def shown(file):
    values, _ = read_film(raw(file), "film.dcm")
    assert values.dtype == np.float32
    return values


def lut(entries, first, depth, *, packed=False):
    table = Dataset()
    table.LUTDescriptor = [len(entries), first, depth]
    table.add_new("LUTData", "OW" if packed else "US", np.array(entries, "<u2").tobytes() if packed else entries)
    return table


def compressed(syntax, stored=np.kron(THIRDS, np.ones((32, 32), int))):  # noqa: B008 - not changed
    file = film(stored)
    if syntax.is_compressed:
        file.compress(syntax)
    return file


def jpeg(values):
    """A film of 8 bits, compressed as those of the RSNA challenge."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=95)
    file = film(values, bits=8, syntax=JPEGBaseline8Bit, BitsAllocated=8)
    file.PixelData = encapsulate([buffer.getvalue()])
    return file


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_the_stored_bits_span_black_to_white(syntax):
    np.testing.assert_allclose(shown(film(THIRDS, syntax=syntax)), SHOWN, atol=1e-6)


def test_monochrome1_is_turned_over():
    negative = film(THIRDS, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(shown(negative), [[1, 2 / 3], [1 / 3, 0]], atol=1e-6)


def test_signed_values_span_black_to_white_too():
    np.testing.assert_allclose(shown(film([[-128, 127]], bits=8, signed=True)), [[0, 1]])


def test_a_window_cuts_and_stretches():
    # 201 values from 0 to 200
    windowed = film([[0, 50, 100], [150, 200, 4095]], WindowCenter=100.5, WindowWidth=201)
    np.testing.assert_allclose(shown(windowed), [[0, 0.25, 0.5], [0.75, 1, 1]], atol=1e-6)


def test_of_several_windows_the_first_counts():
    two = film([[0, 100, 200]], WindowCenter=[100.5, 5], WindowWidth=[201, 2])
    np.testing.assert_allclose(shown(two), [[0, 0.5, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("LINEAR_EXACT", [0, 0.5, 1]), ("SIGMOID", [1 / (1 + math.e**2), 0.5, 1 / (1 + math.e**-2)])],
)
def test_other_shapes_of_window_follow_their_formula(shape, expected):
    curved = film([[50, 100, 150]], WindowCenter=100, WindowWidth=100, VOILUTFunction=shape)
    np.testing.assert_allclose(shown(curved), [expected], atol=1e-6)


def test_a_rescale_comes_before_the_window():
    # 2 x - 1000: 250, 500, 625 become -500, 0, 250, in a window from -500 to 500
    rescaled = film([[250, 500, 625]], RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=0.5, WindowWidth=1001)
    np.testing.assert_allclose(shown(rescaled), [[0, 0.5, 0.75]], atol=1e-6)


@pytest.mark.parametrize(("slope", "intercept", "expected"), [(2, -1000, SHOWN), (-1, 4095, [[1, 2 / 3], [1 / 3, 0]])])
def test_a_rescale_alone_moves_the_ends_too(slope, intercept, expected):
    rescaled = film(THIRDS, RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_allclose(shown(rescaled), expected, atol=1e-6)


def test_a_falling_rescale_does_not_turn_the_window_over():
    # 4095 - x: the window from 0 to 200 holds the stored 4095 to 3895
    falling = film([[4095, 3995, 3895]], RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=100.5, WindowWidth=201)
    np.testing.assert_allclose(shown(falling), [[0, 0.5, 1]], atol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_a_voi_lut_is_looked_up_and_outranks_the_window(packed):
    looked_up = film([[9, 10, 11], [12, 13, 99]], WindowCenter=5, WindowWidth=2)
    looked_up.VOILUTSequence = [lut([0, 51, 102, 255], 10, 8, packed=packed)]
    np.testing.assert_allclose(shown(looked_up), [[0, 0, 0.2], [0.4, 1, 1]], atol=1e-6)


def test_a_lut_of_eight_bits_may_have_more_entries_than_256():
    long = film([[0, 150, 299]])
    long.VOILUTSequence = [lut([*[0] * 150, *[51] * 149, 255], 0, 8)]
    np.testing.assert_allclose(shown(long), [[0, 0.2, 1]], atol=1e-6)


def test_a_modality_lut_comes_before_the_window():
    looked_up = film([[0, 1, 2]], WindowCenter=100.5, WindowWidth=201)
    looked_up.ModalityLUTSequence = [lut([0, 100, 200], 0, 16)]
    np.testing.assert_allclose(shown(looked_up), [[0, 0.5, 1]], atol=1e-6)


def test_elements_without_a_value_are_as_if_absent():
    empty = film(THIRDS, WindowCenter=None, WindowWidth=None, RescaleSlope=None, PixelSpacing=None)
    np.testing.assert_allclose(shown(empty), SHOWN, atol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_lossless_compression_changes_nothing(syntax):
    np.testing.assert_allclose(shown(compressed(syntax))[::32, ::32], SHOWN, atol=1e-6)


def test_baseline_jpeg_is_read_to_its_loss():
    ramp = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    np.testing.assert_allclose(shown(jpeg(ramp)), ramp / 255, atol=0.03)


def test_spacing_is_of_rows_then_columns_and_may_be_unknown():
    assert read_film(raw(film(THIRDS, PixelSpacing=[0.25, 0.5])), "")[1] == (0.25, 0.5)
    assert read_film(raw(film(THIRDS, ImagerPixelSpacing=[0.125, 0.5])), "")[1] == (0.125, 0.5)
    assert np.isnan(read_film(raw(film(THIRDS)), "")[1]).all()


def refused(content, sentence, error=InvalidDataError):
    with pytest.raises(error, match=rf"^film.dcm: .*{sentence}"):
        read_film(content, "film.dcm")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", bytes(200), b"\0" * 128 + b"DICM"])
def test_what_is_no_film_is_refused(content):
    refused(content, "not a readable DICOM file .* fetch it again")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_film_is_refused_whatever_its_compression(syntax, share):
    content = raw(compressed(syntax, np.random.default_rng(0).integers(0, 4096, (64, 64))))
    refused(content[: int(share * len(content))], "not a readable DICOM file .* truncated")


def test_a_truncated_jpeg_is_refused():
    content = raw(jpeg(np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)))
    refused(content[: len(content) // 2], "not a readable DICOM file .* truncated")


def test_a_damaged_stream_is_not_taken_for_a_missing_decoder():
    damaged = compressed(JPEG2000Lossless)
    damaged.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    refused(raw(damaged), "not a readable DICOM file")


def test_a_compression_without_decoder_says_what_to_install():
    foreign = film(THIRDS, syntax=JPEGLSLossless)
    foreign.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    refused(raw(foreign), "JPEG-LS.* cannot be decompressed here .*pip install", MissingLibraryError)


def test_colour_is_refused():
    colour = film([[0, 0, 0]], bits=8, BitsAllocated=8, SamplesPerPixel=3, PhotometricInterpretation="RGB", Columns=1)
    colour.PlanarConfiguration, colour.PixelData = 0, b"\1\2\3\0"
    refused(raw(colour), "1 frames of RGB. Give a film of one grey frame")


def test_several_frames_are_refused():
    moving = film(THIRDS, NumberOfFrames=2)
    moving.PixelData = moving.PixelData * 2
    refused(raw(moving), "2 frames of MONOCHROME2")


def test_a_header_that_states_more_pixels_than_any_film_is_refused():
    refused(raw(film(THIRDS, Rows=65535, Columns=65535)), "states 65535 x 65535 pixels")


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        ({"WindowCenter": 5, "WindowWidth": 1}, "a LINEAR window of width 0"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "a CUBIC window"),
        ({"RescaleSlope": 0, "RescaleIntercept": 7}, "a rescale to 7 and 7"),
        ({"VOILUTSequence": [lut([1, 2], 0, 8)]}, "a LUT of 2 entries that states 3"),
    ],
)
def test_a_header_that_shows_nothing_is_refused(elements, sentence):
    for table in elements.get("VOILUTSequence", ()):
        table.LUTDescriptor = [3, 0, 8]
    refused(raw(film(THIRDS, **elements)), sentence)
