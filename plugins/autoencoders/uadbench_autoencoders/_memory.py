"""A memory of latents: a latent is replaced by a mixture of the few items that it is most like.

Source: Gong et al., ICCV 2019, sec. 3.3 (addressing, shrinkage) and 3.4 (entropy).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Latents = Float[Tensor, "n d"]
Weights = Float[Tensor, "n m"]  # of each item, for each latent
SIMILARITIES = ("dot", "cosine")
EPSILON = 1e-12


class Memory(nn.Module):
    """`count` items of `width` numbers, learned with the network; they start as a linear layer's weights do."""

    def __init__(self, count: int, width: int, similarity: str, shrinkage: float) -> None:
        super().__init__()
        bound = width**-0.5
        self.items = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))  # (m, d)
        self.similarity = similarity
        self.shrinkage = shrinkage

    def address(self, latents: Latents) -> Weights:
        """w = softmax(similarity), 0 where w <= `shrinkage`, divided by its sum; in [0, 1].

        Where no weight is left, which takes a shrinkage of 1/m or more, all are 0.
        """
        items: Tensor = self.items
        if self.similarity == "cosine":
            latents, items = F.normalize(latents), F.normalize(items)
        attention = (latents @ items.T).float().softmax(1)  # (n, d), (m, d) -> (n, m)
        return F.normalize(F.hardshrink(attention, self.shrinkage), p=1, dim=1)

    def recall(self, weights: Weights) -> Latents:
        """The items, mixed by weight."""
        return weights @ self.items  # (n, m), (m, d) -> (n, d)


def entropy(weights: Weights) -> Float[Tensor, " n"]:
    """-sum w log w of each latent's weights, in nats: 0 for one item, log m for all alike."""
    return -(weights * torch.log(weights + EPSILON)).sum(1)
