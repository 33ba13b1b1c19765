"""The network: an embedding per feature, then an ensemble of perceptrons that share their layers.

Numbers go through a piecewise-linear encoding (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep
Learning", 2022): a plain network is too smooth for the steps that tables are full of. As the encoder has already mapped
each column onto a normal distribution, the quantiles that bound the pieces are the same for every column. Categories
have a lookup table.

The network is a small ensemble (after "TabM-mini" in Gorishniy et al., "TabM: Advancing Tabular Deep Learning with
Parameter-Efficient Ensembling", 2025): members share the first layer, multiply its
output by factors of their own, pass through the same further layers, and have a head each. Each learns from its own
loss, and their probabilities are averaged. TabM has the factors before the first layer, which is then computed once per
member; with the factors behind it, the validation losses were as low, and the widest layer is computed only once. With
one member it is a plain network.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.json_types import JsonObject
from training.table.encoding import PIECES

LARGEST = 4.0  # the encoder's numbers stay within it


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Everything needed to build the network before its weights are loaded."""

    numeric: int
    missing: tuple[int, ...]
    """Numeric features that may be missing, by index."""
    cardinalities: tuple[int, ...]
    embedding_size: int
    hidden_size: int
    hidden_layers: int
    dropout: float
    outputs: int = 1
    """1 for two classes (the positive one's logit), else one for each class."""
    members: int = 1
    """Members of the ensemble."""
    pieces: int = PIECES
    """Pieces of a numeric feature's range, each with the same share of the encoder's scores."""

    def to_json(self) -> JsonObject:
        """Return what preprocess.json contains."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: JsonObject) -> Shape:
        """Return the shape that `to_json` saved."""
        lists = {"missing": tuple(saved["missing"]), "cardinalities": tuple(saved["cardinalities"])}
        return cls(**{**saved, **lists})


class NumberEmbeddings(nn.Module):
    """A vector for each number: a linear function of it at first, a piecewise linear one as it learns."""

    edges: Tensor

    def __init__(self, features: int, size: int, pieces: int) -> None:
        super().__init__()
        inner = [NormalDist().inv_cdf(i / pieces) for i in range(1, pieces)]
        self.register_buffer("edges", torch.tensor([-LARGEST, *inner, LARGEST]), persistent=False)
        bound = 1 / math.sqrt(size)
        self.bias = nn.Parameter(torch.empty(features, 1, size).uniform_(-bound, bound))
        slopes = torch.empty(features, 1, size).uniform_(-bound, bound)
        self.weight = nn.Parameter(torch.cat([slopes, torch.zeros(features, pieces, size)], 1))

    def forward(self, numbers: Tensor) -> Tensor:
        """Turn rows x features into rows x features x size."""
        low, high = self.edges[:-1], self.edges[1:]
        covered = ((numbers.unsqueeze(2) - low) / (high - low)).clamp(0, 1)  # how much of each piece is below
        inputs = torch.cat([numbers.unsqueeze(2), covered], 2)
        return (torch.bmm(inputs.transpose(0, 1), self.weight) + self.bias).transpose(0, 1)


class Heads(nn.Module):
    """A linear layer for each member."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, hidden: Tensor) -> Tensor:
        """Turn rows x members x inputs into rows x members x outputs."""
        return (torch.bmm(hidden.transpose(0, 1), self.weight) + self.bias).transpose(0, 1)


def layer(inputs: int, width: int, dropout: float) -> nn.Sequential:
    """Return one hidden layer."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout))


class TabularNet(nn.Module):
    """Takes encoded rows: numeric features (NaN where missing) and category indices; returns each member's logits."""

    starts: Tensor
    missing: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        inputs = (shape.numeric + len(shape.cardinalities)) * shape.embedding_size + len(shape.missing)
        self.numbers = NumberEmbeddings(shape.numeric, shape.embedding_size, shape.pieces) if shape.numeric else None
        # One table for all categorical features: each has its own range of rows.
        starts = torch.tensor([0, *shape.cardinalities[:-1]]).cumsum(0)
        self.register_buffer("starts", starts, persistent=False)
        self.categories = nn.Embedding(sum(shape.cardinalities), shape.embedding_size) if shape.cardinalities else None
        if self.categories is not None:
            nn.init.normal_(self.categories.weight, std=1 / math.sqrt(shape.embedding_size))
        self.register_buffer("missing", torch.tensor(shape.missing, dtype=torch.long), persistent=False)
        width = shape.hidden_size
        self.first = layer(inputs, width, shape.dropout)
        signs = torch.randint(0, 2, (shape.members, width)) * 2.0 - 1
        self.factors = nn.Parameter(signs) if shape.members > 1 else None
        self.further = nn.Sequential(*(layer(width, width, shape.dropout) for _ in range(shape.hidden_layers - 1)))
        self.heads = Heads(shape.members, width, shape.outputs)

    def forward(self, numeric: Tensor, categories: Tensor) -> Tensor:
        """Return the logits: rows x members x outputs."""
        parts = []
        if self.numbers is not None:
            gaps = torch.isnan(numeric)
            parts.append(self.numbers(torch.where(gaps, 0.0, numeric)).flatten(1))
            if len(self.missing):
                parts.append(gaps[:, self.missing].to(numeric.dtype))
        if self.categories is not None:
            parts.append(self.categories(categories + self.starts).flatten(1))
        hidden = self.first(torch.cat(parts, 1)).unsqueeze(1)
        logits: Tensor = self.heads(self.further(hidden if self.factors is None else hidden * self.factors))
        return logits

    def start_from(self, shares: Tensor) -> None:
        """Let the untrained network predict the classes' shares of the rows, which it then need not learn."""
        one_output = self.heads.bias.shape[2] == 1
        with torch.no_grad():
            self.heads.bias.copy_(torch.logit(shares[1:]) if one_output else shares.log())


def pooled(logits: Tensor) -> Tensor:
    """Average the members' probabilities: return each row's logit, or the logarithms of its classes' probabilities."""
    logits = logits.double()
    if logits.shape[2] == 1:
        member = logits.squeeze(2)
        return functional.logsigmoid(member).logsumexp(1) - functional.logsigmoid(-member).logsumexp(1)
    return functional.log_softmax(logits, 2).logsumexp(1) - math.log(logits.shape[1])


class ParameterGroup(TypedDict):
    """Weights that decay alike."""

    params: list[Tensor]
    weight_decay: float


def parameter_groups(model: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Return AdamW's groups: only the layers' weight matrices decay, not biases, factors and embeddings."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for name, parameter in model.named_parameters():
        (decayed if name.startswith(("first.", "further.", "heads.")) and name.endswith("weight") else free).append(
            parameter
        )
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
