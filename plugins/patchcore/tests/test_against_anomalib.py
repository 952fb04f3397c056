"""The same features and the same memory bank give anomalib's scores; where anomalib 2 is installed."""

import pytest
import torch
from uadbench_patchcore._memory import coreset, nearest, reweighted

NEIGHBOURS = 9


@pytest.fixture(scope="module")
def theirs():
    """anomalib's model, without its network."""
    pytest.importorskip("anomalib", reason="anomalib is not installed")
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel.__new__(PatchcoreModel)
    torch.nn.Module.__init__(model)
    model.num_neighbors = NEIGHBOURS
    return model


def drawn(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 160, generator=torch.Generator().manual_seed(seed))


def test_patches_and_images_have_anomalib_s_scores(theirs):
    patches, bank = 1.5 * drawn(400, 0), drawn(900, 1)
    theirs.memory_bank = bank
    distances, places = theirs.nearest_neighbors(patches, n_neighbors=1)
    squared, rows = nearest(patches, bank)
    assert torch.equal(rows, places.flatten())
    torch.testing.assert_close(squared.sqrt(), distances.flatten(), rtol=1e-4, atol=0)
    score = theirs.compute_anomaly_score(distances.view(1, -1), places.view(1, -1), patches)
    worst = int(squared.argmax())
    weight = reweighted(patches[worst], squared[worst], bank, int(rows[worst]), NEIGHBOURS) / squared[worst]
    torch.testing.assert_close((weight * squared[worst].sqrt())[None], score, rtol=1e-4, atol=0)


def test_the_coreset_is_anomalib_s_from_the_same_first_patch(theirs):
    from anomalib.models.components.sampling import KCenterGreedy

    cloud = drawn(500, 2)
    chosen = coreset(cloud, 60, 0)
    sampler = KCenterGreedy(cloud, 0.1)
    sampler.features = cloud  # not its random projection
    sampler.reset_distances()
    mine = [int(chosen[0])]
    for _ in range(59):
        sampler.update_distances(torch.tensor(mine[-1]))
        mine.append(int(sampler.get_new_idx()))
    assert mine == chosen.tolist()
