"""The network: each feature embedded, then a multilayer perceptron, then one logit.

Numbers go through a piecewise-linear encoding (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep
Learning", 2022): a plain network is too smooth for the steps that tables are full of. As the encoder has already mapped
each column onto a normal distribution, the quantiles that bound the pieces are the same for every column: their number
is all that must be kept of them. Categories are looked up.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 4.0  # the encoder's numbers stay within it


@dataclass(frozen=True, kw_only=True)
class Shape:
    """All that is needed to build the network again before its weights are loaded."""

    numeric: int
    missing: tuple[int, ...]
    """Numeric features that may be missing, by index."""
    cardinalities: tuple[int, ...]
    embedding_size: int
    hidden_size: int
    hidden_layers: int
    dropout: float
    pieces: int = 16
    """Pieces of a numeric feature's range, each with the same share of the training rows."""

    def to_json(self) -> dict[str, Any]:
        """Return what preprocess.json keeps."""
        return asdict(self)

    def bins(self) -> list[Tensor]:
        """Return the edges of each numeric feature's pieces."""
        inner = [NormalDist().inv_cdf(i / self.pieces) for i in range(1, self.pieces)]
        return [torch.tensor([-LARGEST, *inner, LARGEST])] * self.numeric

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Shape:
        """Return the shape that `to_json` saved."""
        lists = {"missing": tuple(saved["missing"]), "cardinalities": tuple(saved["cardinalities"])}
        return cls(**{**saved, **lists})


def embed_numbers(shape: Shape) -> nn.Module:
    """Return the numeric features' embeddings: rows x features to rows x features x size."""
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings

    # Version B starts as a linear map, and learns the pieces' part on top of it; the trunk has activations enough.
    embeddings: nn.Module = PiecewiseLinearEmbeddings(shape.bins(), shape.embedding_size, activation=False, version="B")
    return embeddings


class TabularNet(nn.Module):
    """Takes encoded rows: numeric features (NaN where missing) and category indices; returns one logit per row."""

    starts: Tensor
    missing: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        inputs = (shape.numeric + len(shape.cardinalities)) * shape.embedding_size + len(shape.missing)
        self.numbers = embed_numbers(shape) if shape.numeric else None
        # One table for all categorical features: each has its own stretch of it.
        starts = torch.tensor([0, *shape.cardinalities[:-1]]).cumsum(0)
        self.register_buffer("starts", starts, persistent=False)
        self.categories = nn.Embedding(sum(shape.cardinalities), shape.embedding_size) if shape.cardinalities else None
        if self.categories is not None:
            nn.init.normal_(self.categories.weight, std=1 / math.sqrt(shape.embedding_size))
        self.register_buffer("missing", torch.tensor(shape.missing, dtype=torch.long), persistent=False)
        layers: list[nn.Module] = []
        for _ in range(shape.hidden_layers):
            layers += [nn.Linear(inputs, shape.hidden_size), nn.ReLU(), nn.Dropout(shape.dropout)]
            inputs = shape.hidden_size
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, 1)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        """Return the logits of the rows."""
        parts = []
        if self.numbers is not None:
            gaps = torch.isnan(numeric)
            parts.append(self.numbers(torch.where(gaps, 0.0, numeric)).flatten(1))
            if len(self.missing):
                parts.append(gaps[:, self.missing].to(numeric.dtype))
        if self.categories is not None:
            parts.append(self.categories(categories + self.starts).flatten(1))
        logits: Tensor = self.head(self.trunk(torch.cat(parts, 1)))
        return logits.squeeze(1)

    def start_from(self, rate: float) -> None:
        """Let the untrained network say about the share of positive rows: the first steps need not learn it."""
        with torch.no_grad():
            self.head.bias.fill_(math.log(rate / (1 - rate)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return AdamW's groups: only weight matrices decay, not biases and embeddings."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and not name.startswith(("categories.", "numbers."))
        (decayed if decays else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
