"""The other libraries, each as its documentation recommends, with early stopping on the validation rows if it has any.

Neither they nor the network are tuned. Each gets the three splits as pandas frames, and returns the probability of the
later class for validation and test rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

PATIENCE = 100  # rounds without a lower validation loss, of the boosted trees
FLOAT32_ROWS = 5_000  # TabM trains on more rows in bfloat16, an option of its example, in half the time
Probabilities = dict[str, np.ndarray]


@dataclass(frozen=True)
class Data:
    """Features and labels (0 and 1) of each split."""

    features: dict[str, pd.DataFrame]
    labels: dict[str, np.ndarray]
    numeric: list[str]
    categorical: list[str]

    def answered(self, answer: Callable[[pd.DataFrame], np.ndarray]) -> Probabilities:
        """Return the probabilities of validation and test rows."""
        return {split: answer(self.features[split]) for split in ("val", "test")}

    def as_categories(self) -> dict[str, pd.DataFrame]:
        """Return the features with pandas' category type, whose values are those of train."""
        kinds = {n: pd.CategoricalDtype(self.features["train"][n].dropna().unique()) for n in self.categorical}
        return {split: frame.astype(kinds) for split, frame in self.features.items()}


def lightgbm(data: Data, seed: int) -> Probabilities:
    """Categories as categories; for accuracy its guide wants a small learning_rate and many rounds, stopped early."""
    import lightgbm as lgb

    x = data.as_categories()
    model = lgb.LGBMClassifier(n_estimators=5000, learning_rate=0.05, n_jobs=1, random_state=seed, verbose=-1)
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    model.fit(x["train"], data.labels["train"], eval_set=[(x["val"], data.labels["val"])], callbacks=[stop])
    return {split: model.predict_proba(x[split])[:, 1] for split in ("val", "test")}


def catboost(data: Data, seed: int) -> Probabilities:
    """Its defaults, with the categories named and the overfitting detector on validation."""
    from catboost import CatBoostClassifier

    def filled(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{name: frame[name].astype("string").fillna("missing") for name in data.categorical})

    x = {split: filled(frame) for split, frame in data.features.items()}
    model = CatBoostClassifier(
        cat_features=data.categorical, early_stopping_rounds=PATIENCE, random_seed=seed, thread_count=1,
        verbose=False, allow_writing_files=False,
    )  # fmt: skip
    model.fit(x["train"], data.labels["train"], eval_set=(x["val"], data.labels["val"]))
    return {split: model.predict_proba(x[split])[:, 1] for split in ("val", "test")}


def hist_gradient_boosting(data: Data, seed: int) -> Probabilities:
    """scikit-learn's, categories from their type, early stopping on the validation rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = data.as_categories()
    for name in data.categorical:  # it accepts at most 255 categories: the most frequent ones
        kept = x["train"][name].value_counts().index[:250]
        kind = pd.CategoricalDtype(kept)
        x = {split: frame.astype({name: kind}) for split, frame in x.items()}
    model = HistGradientBoostingClassifier(
        categorical_features="from_dtype", max_iter=2000, learning_rate=0.05, early_stopping=True,
        n_iter_no_change=PATIENCE, random_state=seed,
    )  # fmt: skip
    model.fit(x["train"], data.labels["train"], X_val=x["val"], y_val=data.labels["val"])
    return {split: model.predict_proba(x[split])[:, 1] for split in ("val", "test")}


def logistic_regression(data: Data, seed: int) -> Probabilities:
    """Scaled, imputed, one-hot; the strength of its penalty chosen on the validation rows."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    prepare = make_column_transformer((numeric, data.numeric), (one_hot, data.categorical))
    x = {"train": prepare.fit_transform(data.features["train"])}
    x |= {split: prepare.transform(data.features[split]) for split in ("val", "test")}
    tried = []
    for strength in (0.003, 0.03, 0.3, 3.0):
        model = LogisticRegression(C=strength, max_iter=1000, random_state=seed).fit(x["train"], data.labels["train"])
        said = {split: model.predict_proba(x[split])[:, 1] for split in ("val", "test")}
        tried.append((log_loss(data.labels["val"], said["val"]), strength, said))
    return min(tried, key=lambda one: one[:2])[2]


def tabm(data: Data, seed: int) -> Probabilities:  # noqa: PLR0915 - one piece, like the package's example
    """The example of its package: quantile-normal numbers, piecewise-linear embeddings, 32 members, patience 16."""
    import torch
    from rtdl_num_embeddings import PiecewiseLinearEmbeddings, compute_bins
    from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer
    from tabm import TabM
    from torch.nn.functional import binary_cross_entropy_with_logits

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    frames, labels = data.features, {s: torch.from_numpy(y.astype(np.float32)) for s, y in data.labels.items()}
    rows = len(frames["train"])
    scale = QuantileTransformer(
        n_quantiles=max(min(rows // 30, 1000), 10), output_distribution="normal", random_state=seed
    )
    medians = frames["train"][data.numeric].median()
    plain = {s: f[data.numeric].fillna(medians).to_numpy(np.float64) for s, f in frames.items()}
    noise = random.normal(0.0, 1e-5, plain["train"].shape)
    scale.fit(plain["train"] + noise)
    numbers = {s: torch.from_numpy(scale.transform(x).astype(np.float32)) for s, x in plain.items()}
    codes = {s: torch.zeros(len(f), 0, dtype=torch.long) for s, f in frames.items()}
    sizes: list[int] = []
    if data.categorical:
        ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
        texts = {s: f[data.categorical].astype("object") for s, f in frames.items()}
        ordinal.fit(texts["train"])
        codes = {s: torch.from_numpy(ordinal.transform(f).astype(np.int64) + 1) for s, f in texts.items()}
        sizes = [len(known) + 1 for known in ordinal.categories_]
    varied = [i for i in range(len(data.numeric)) if len(torch.unique(numbers["train"][:, i])) > 1]
    numbers = {s: x[:, varied] for s, x in numbers.items()}
    bins = compute_bins(numbers["train"], n_bins=min(48, rows // 4))
    embeddings = PiecewiseLinearEmbeddings(bins, 16, activation=False, version="B")
    net = TabM.make(n_num_features=len(varied), cat_cardinalities=sizes, d_out=1, num_embeddings=embeddings)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=3e-4)

    def outputs(split: str, ids: Any) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=rows > FLOAT32_ROWS):
            said: torch.Tensor = net(numbers[split][ids], codes[split][ids] if sizes else None)
        return said.squeeze(-1).float()

    def answer(split: str) -> np.ndarray:
        net.eval()
        with torch.inference_mode():
            parts = torch.arange(len(labels[split])).split(4096)
            found: np.ndarray = (
                torch.cat([torch.sigmoid(outputs(split, ids)).mean(1) for ids in parts]).double().numpy()
            )
        return found

    from sklearn.metrics import log_loss

    best: tuple[float, Probabilities] = (np.inf, {})
    stale = 0
    while stale < 16:
        net.train()
        for ids in torch.from_numpy(random.permutation(rows)).split(256):
            said = outputs("train", ids)
            target = labels["train"][ids].unsqueeze(1).expand_as(said)
            optimizer.zero_grad()
            torch.autograd.backward(binary_cross_entropy_with_logits(said, target))
            optimizer.step()
        val = answer("val")
        loss = float(log_loss(data.labels["val"], val))
        stale += 1
        if loss < best[0]:
            best, stale = (loss, {"val": val, "test": answer("test")}), 0
    return best[1]


PEERS: dict[str, Callable[[Data, int], Probabilities]] = {
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "HistGradientBoosting": hist_gradient_boosting,
    "logistic regression": logistic_regression,
    "TabM": tabm,
}
TREES = ("LightGBM", "CatBoost", "HistGradientBoosting")
