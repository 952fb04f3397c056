"""Synthetic suites: where they act, and what they paint there."""

import itertools
import math

import numpy as np
import pytest

from uadbench.datasets.synthetic import SUITES, suite
from uadbench.datasets.synthetic.coarse_noise import DaeNoise, enlarged
from uadbench.datasets.synthetic.copy_paste import CopyPaste
from uadbench.datasets.synthetic.corruption import Corrupted, frame_grid
from uadbench.datasets.synthetic.disc import PitDisc, draw_disc
from uadbench.datasets.synthetic.ellipses import Axes, PhanesMasks, RaEllipses, draw_ellipse
from uadbench.datasets.synthetic.radial import PitRadial
from uadbench.datasets.synthetic.shuffle import PitShuffle
from uadbench.datasets.synthetic.simplex import EDGES, SimplexNoise, simplex
from uadbench.errors import InvalidDataError, ParameterError, UnknownNameError

ALL = tuple(SUITES)


def stream(seed=0):
    return np.random.default_rng(seed)


def body(size=64, *, seed=0):
    """Textured tissue in a disc on a black background, and its foreground."""
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    foreground = np.hypot(rows, columns) < 0.4 * size
    image = np.where(foreground, stream(seed).uniform(0.2, 0.9, (size, size)), 0).astype(np.float32)
    return image, foreground


def applied(name, *, size=64, seed=0):
    image, foreground = body(size)
    return image, foreground, suite(name)(image, foreground, stream(seed))


@pytest.mark.parametrize("name", ALL)
def test_a_suite_changes_nothing_outside_its_mask(name):
    image, _, corrupted = applied(name)
    assert (corrupted.image.dtype, corrupted.mask.dtype) == (np.float32, bool)
    assert np.array_equal(corrupted.image[~corrupted.mask], image[~corrupted.mask])
    assert not np.array_equal(corrupted.image[corrupted.mask], image[corrupted.mask])


@pytest.mark.parametrize("name", ALL)
def test_a_suite_stays_within_intensities(name):
    for seed in range(5):
        _, _, corrupted = applied(name, seed=seed)
        assert 0 <= corrupted.image.min() <= corrupted.image.max() <= 1


@pytest.mark.parametrize("name", ALL)
def test_a_suite_follows_its_seed_and_leaves_its_inputs_alone(name):
    image, foreground = body()
    image.flags.writeable = foreground.flags.writeable = False
    first, again, other = (suite(name)(image, foreground, stream(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.image, other.image)
    assert not np.shares_memory(first.mask, foreground)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(24, 24), (40, 72)])
def test_a_suite_takes_any_size(name, shape):
    image = stream().uniform(0.1, 0.9, shape).astype(np.float32)
    corrupted = suite(name)(image, np.ones(shape, bool), stream(1))
    assert corrupted.image.shape == corrupted.mask.shape == shape
    assert corrupted.mask.any()


def test_an_unknown_suite_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"No suite is called 'pit-disk'\. Did you mean 'pit-disc'"):
        suite("pit-disk")


def test_a_result_of_another_shape_is_refused():
    with pytest.raises(InvalidDataError, match=r"image float32 \(4, 4\) and mask bool \(3, 3\)"):
        Corrupted(np.zeros((4, 4), np.float32), np.zeros((3, 3), bool))


WRONG = [
    (lambda: Axes("lognormal", 4, 6), "law is 'lognormal'"),
    (lambda: Axes("uniform", 12, 8), "smaller bound first"),
    (lambda: Axes("normal", -1, 8), "sizes is"),
    (lambda: PhanesMasks(count=0), "count is 0"),
    (lambda: PhanesMasks(fill=2.0), "fill is 2.0"),
    (lambda: CopyPaste("anywhere"), "one of code, paper"),
    (lambda: PitDisc(intensity=1.5), "intensity is 1.5"),
    (lambda: PitDisc(radius_px=0), "radius_px is 0"),
    (lambda: PitRadial("inwards", 1), "one of sink, source"),
    (lambda: PitRadial("sink", 0), "exponent is 0"),
    (lambda: PitRadial("sink", 1, radius_px=-1), "radius_px is -1"),
    (lambda: PitShuffle(radius_px=0), "radius_px is 0"),
    (lambda: DaeNoise(deviation=0), "deviation is 0"),
    (lambda: DaeNoise(grid=1), "grid is 1"),
    (lambda: SimplexNoise(strength=0), "strength is 0"),
    (lambda: SimplexNoise(octaves=0), "octaves is 0"),
    (lambda: SimplexNoise(wavelength_px=0), "wavelength_px is 0"),
    (lambda: SimplexNoise(persistence=0), "persistence is 0"),
]


@pytest.mark.parametrize(("build", "sentence"), WRONG)
def test_a_parameter_that_breaks_its_rule_is_refused(build, sentence):
    with pytest.raises(ParameterError, match=sentence):
        build()


def test_the_frame_of_128_px_is_the_image_itself_at_128_px_and_grows_with_it():
    assert np.array_equal(frame_grid((128, 128)), np.indices((128, 128)))
    rows, columns = frame_grid((256, 64))
    assert rows[:3, 0].tolist() == [-0.25, 0.25, 0.75]
    assert columns[0, :3].tolist() == [0.5, 2.5, 4.5]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_ellipse_holds_every_pixel_centre_of_its_formula(seed):
    rng = stream(seed)
    drawn = draw_ellipse((128, 128), Axes("normal", 8, 12), stream(seed))
    (row, column), degrees = rng.integers(32, 96, size=2), rng.integers(0, 360)
    first, second = (max(int(abs(size)), 2) for size in rng.normal(8, 12, size=2))
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    for y, x in itertools.product(range(128), repeat=2):
        along = cosine * (x - column) + sine * (y - row)
        across = cosine * (y - row) - sine * (x - column)
        assert drawn[y, x] == ((along / first) ** 2 + (across / second) ** 2 <= 1 + 1e-9)


def test_an_ellipse_is_centred_in_the_middle_half_and_has_axes_of_at_least_two_pixels():
    axes, centres = Axes("normal", 0.0, 0.5), []
    for seed in range(200):
        ellipse = draw_ellipse((128, 128), axes, stream(seed))
        assert ellipse.sum() == 13  # all pixel centres within 2 px of another
        centres.append(np.argwhere(ellipse).mean(axis=0))
    assert 32 <= np.min(centres) < 35
    assert 92 < np.max(centres) <= 95


def test_the_three_readings_of_the_axes_are_those_of_their_names():
    laws = {"ra-ellipses-n8-12": ("normal", 8, 12), "ra-ellipses-u8-12": ("uniform", 8, 12)}
    for name, law in {**laws, "ra-ellipses-n4-6": ("normal", 4, 6)}.items():
        assert SUITES[name] == RaEllipses(Axes(*law))


def test_axes_are_whole_pixels_of_their_law_and_at_least_two():
    uniform = [Axes("uniform", 8, 12).draw(stream(seed)) for seed in range(2000)]
    normal = [Axes("normal", 4, 6).draw(stream(seed)) for seed in range(2000)]
    assert set(np.ravel(uniform)) == {8, 9, 10, 11}
    assert min(map(min, normal)) == 2
    sizes = np.abs(stream(0).normal(4, 6, 100_000)).astype(int)
    assert np.mean(normal) == pytest.approx(np.maximum(sizes, 2).mean(), abs=0.2)


def test_ra_ellipses_take_their_intensities_from_bands_of_the_current_image():
    image, foreground = body(128)
    rng, current, union = stream(2), image.copy(), np.zeros(image.shape, bool)
    for low, high in ((1, 5), (30, 70), (95, 99)):
        intensity = min(1.0, abs(rng.uniform(*np.percentile(current, [low, high]))))
        ellipse = draw_ellipse(image.shape, Axes("normal", 4, 6), rng)
        current[ellipse], union = intensity, union | ellipse
    corrupted = suite("ra-ellipses-n4-6")(image, foreground, stream(2))
    assert np.array_equal(corrupted.image, current)
    assert np.array_equal(corrupted.mask, union)


def test_each_band_holds_the_intensity_of_its_ellipse():
    image = np.linspace(0, 1, 128 * 128, dtype=np.float32).reshape(128, 128)
    for seed in range(20):
        bright = RaEllipses(Axes("uniform", 8, 8))(image, image >= 0, stream(seed))
        painted = np.unique(bright.image[bright.mask])
        assert any(0.93 <= value <= 0.99 for value in painted)
        assert len(painted) <= 3


def test_phanes_masks_are_ten_ellipses_painted_white():
    image, _, corrupted = applied("phanes-masks", size=128)
    rng, union = stream(0), np.zeros(image.shape, bool)
    for _ in range(10):
        union |= draw_ellipse(image.shape, Axes("normal", 2, 4), rng)
    assert np.array_equal(corrupted.mask, union)
    assert (corrupted.image[union] == 1).all()


DISTINCT = np.arange(128 * 128, dtype=np.float32).reshape(128, 128) / 128**2


@pytest.mark.parametrize(("positions", "first", "end"), [("code", 32, 126), ("paper", 25, 128)])
def test_copy_paste_moves_one_rectangle_within_its_bounds(positions, first, end):
    corners, ends = [], []
    for seed in range(300):
        corrupted = CopyPaste(positions)(DISTINCT, DISTINCT >= 0, stream(seed))
        target, sides = rectangle(corrupted.mask)
        pasted = corrupted.image[corrupted.mask].reshape(sides)
        source = np.argwhere(pasted[0, 0] == DISTINCT)[0]
        assert np.array_equal(pasted, DISTINCT[source[0] :, source[1] :][: sides[0], : sides[1]])
        corners += [*target, *source]
        ends += [*(target + sides), *(source + sides)]
    assert (min(corners), max(ends)) == (first, end)


def rectangle(mask):
    """Corner and sides of a rectangular mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    assert mask.sum() == len(rows) * len(columns)
    return np.array([rows[0], columns[0]]), np.array([len(rows), len(columns)])


def test_a_copied_rectangle_has_sides_of_25_to_49_px():
    masks = [CopyPaste()(DISTINCT, DISTINCT >= 0, stream(seed)).mask for seed in range(300)]
    sides = [side for mask in masks for side in rectangle(mask)[1]]
    assert (min(sides), max(sides)) == (25, 49)


def test_a_disc_is_strictly_within_its_radius_and_on_the_body():
    image, _ = body(256)
    disc = draw_disc(image, 20.0, stream(1))
    for y, x in itertools.product(range(256), repeat=2):
        near = (y - disc.centre_px[0]) ** 2 + (x - disc.centre_px[1]) ** 2 < 400
        assert disc.mask[y, x] == (near and image[y, x] > 0)


def test_a_disc_of_20_px_at_256_px_is_one_of_10_px_at_128_px():
    for size, radius in ((256, 20), (128, 10), (64, 5)):
        disc = draw_disc(np.ones((size, size), np.float32), 20.0, stream(2))
        assert disc.radius_px == radius
        assert not disc.mask[disc.centre_px[0], (disc.centre_px[1] + radius) % size]


def test_a_disc_is_centred_on_every_pixel_above_0_and_on_no_other():
    image = np.zeros((16, 16), np.float32)
    image[[2, 9, 9], [3, 4, 12]] = 0.5
    assert {draw_disc(image, 20.0, stream(seed)).centre_px for seed in range(60)} == {(2, 3), (9, 4), (9, 12)}


def test_a_black_image_gives_an_empty_mask():
    black = np.zeros((16, 16), np.float32)
    for name in ("pit-disc", "pit-sink-1", "pit-source-2", "pit-shuffle"):
        corrupted = suite(name)(black, black > 0, stream())
        assert not corrupted.mask.any()
        assert np.array_equal(corrupted.image, black)


def test_a_disc_keeps_its_place_whatever_its_intensity():
    image, foreground = body()
    first, second = (PitDisc(intensity)(image, foreground, stream(4)) for intensity in (0.0, 0.5))
    assert np.array_equal(first.mask, second.mask)
    assert np.unique(first.image[first.mask]).tolist() == [0.0]
    assert np.unique(second.image[second.mask]).tolist() == [0.5]


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("direction", ["sink", "source"])
@pytest.mark.parametrize("seed", range(4))
def test_sink_and_source_read_where_the_formula_says(direction, exponent, seed):
    image, foreground = body(64, seed=seed)
    corrupted = suite(f"pit-{direction}-{exponent}")(image, foreground, stream(seed))
    disc = draw_disc(image, 20.0, stream(seed))
    c = np.array(disc.centre_px)
    for place in np.argwhere(disc.mask):
        s = (math.dist(place, c) / 5.0) ** exponent
        origin = c + s * (place - c) if direction == "source" else place + (1 - s) * (place - c)
        row, column = (min(max(round(value), 0), 63) for value in origin.tolist())
        assert corrupted.image[tuple(place)] == image[row, column]


def test_a_shuffle_keeps_every_intensity_of_the_disc():
    image, _, corrupted = applied("pit-shuffle")
    assert np.array_equal(np.sort(corrupted.image[corrupted.mask]), np.sort(image[corrupted.mask]))
    assert (corrupted.image != image).sum() > 0.8 * corrupted.mask.sum()


@pytest.mark.parametrize("shape", [(128, 128), (16, 16), (31, 50)])
def test_coarse_noise_is_bilinear_with_its_corners_kept(shape):
    grid = stream().normal(size=(16, 16))
    large = enlarged(grid, shape)
    assert large[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == pytest.approx(grid[[0, 0, -1, -1], [0, -1, 0, -1]])
    for y, x in ((1, 2), (7, 9), (14, 3)):
        top, left = y * 15 / (shape[0] - 1), x * 15 / (shape[1] - 1)
        (i, u), (j, v) = (divmod(place, 1) for place in (top, left))
        cell = np.pad(grid, (0, 1), mode="edge")[int(i) : int(i) + 2, int(j) : int(j) + 2]
        assert large[y, x] == pytest.approx([1 - u, u] @ cell @ [1 - v, v])


def test_coarse_noise_has_mean_0_and_is_rolled_as_a_whole():
    grey, everywhere = np.full((128, 128), 0.5, np.float32), np.ones((128, 128), bool)
    noise = np.array([DaeNoise(0.05)(grey, everywhere, stream(seed)).image - 0.5 for seed in range(40)])
    assert abs(noise.mean()) < 0.002
    rng = stream(7)
    large = enlarged(rng.normal(0, 0.05, (16, 16)), (128, 128))
    rolled = np.roll(large, rng.integers(0, (128, 128)), axis=(0, 1))
    assert noise[7] == pytest.approx(rolled, abs=1e-6)


@pytest.mark.parametrize("name", ["dae-noise", "simplex-noise"])
def test_noise_acts_on_the_foreground_and_nowhere_else(name):
    _, foreground, corrupted = applied(name)
    assert np.array_equal(corrupted.mask, foreground)


def simplex_of_one_point(x, y, z, permutation):
    """Simplex noise as in Gustavson's text: the corners of one tetrahedron, one after the other."""
    i, j, k = (math.floor(value + (x + y + z) / 3) for value in (x, y, z))
    start = [x - i + (i + j + k) / 6, y - j + (i + j + k) / 6, z - k + (i + j + k) / 6]
    longest_first = sorted(range(3), key=lambda axis: -start[axis])
    total, step = 0.0, [0, 0, 0]
    for corner in range(4):
        d = [start[axis] - step[axis] + corner / 6 for axis in range(3)]
        a, b, c = i + step[0], j + step[1], k + step[2]
        g = EDGES[permutation[(a + permutation[(b + permutation[c % 256]) % 256]) % 256] % 12]
        total += max(0.0, 0.5 - sum(v * v for v in d)) ** 4 * sum(u * v for u, v in zip(g, d, strict=True))
        if corner < 3:
            step[longest_first[corner]] = 1
    return 76.8 * total


def test_simplex_noise_agrees_with_one_point_at_a_time():
    permutation = stream(3).permutation(256)
    points = stream(4).uniform(-20, 300, (3, 500))
    expected = [simplex_of_one_point(*point, permutation) for point in points.T]
    assert simplex(points, permutation) == pytest.approx(expected, abs=1e-12)


def test_simplex_noise_is_bounded_smooth_and_has_mean_0():
    points = stream(5).uniform(0, 200, (3, 200_000))
    permutation = stream(6).permutation(256)
    values = simplex(points, permutation)
    assert 0.5 < np.abs(values).max() <= 1
    assert abs(values.mean()) < 0.005
    assert np.abs(simplex(points + 1e-6, permutation) - values).max() < 1e-4


def test_simplex_noise_is_0_at_the_corners_of_its_lattice():
    corners = stream(7).integers(-50, 50, (3, 100))
    assert simplex(corners - corners.sum(axis=0) / 6, stream(8).permutation(256)) == pytest.approx(0, abs=1e-12)


def test_octaves_halve_the_wavelength_and_lose_a_fifth_of_the_amplitude():
    rng, suite_of_six = stream(9), SimplexNoise()
    permutation, step = rng.permutation(256), rng.integers(1000)
    rows, columns = np.indices((32, 32))
    expected = np.zeros((32, 32))
    for octave, wavelength in enumerate((64, 32, 16, 8, 4, 2)):
        points = np.stack([rows / wavelength, columns / wavelength, np.full((32, 32), step / wavelength)])
        expected += 0.8**octave * simplex(points, permutation)
    assert suite_of_six.noise((32, 32), stream(9)) == pytest.approx(expected)
