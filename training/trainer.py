"""One training, from top to bottom: start or resume, train epoch by epoch, validate, save, stop in time.

Everything random is a function of seed, epoch, step and process. So a checkpoint needs no generator state, and a
resumed run continues as if it had not been interrupted.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training import checkpoint, distributed
from training.distributed import Ranks
from training.errors import Interrupted, TrainingError
from training.evaluation import metrics
from training.evaluation.scoring import scoring_of
from training.exits import Sigterm, log
from training.hyperparameters import Hyperparameters, Paths
from training.json_types import JsonObject
from training.model import Shape, TabularNet, parameter_groups, pooled
from training.optimizer import AdamW, AveragedNet
from training.plan import Plan
from training.table.prepare import Tables
from training.table.rows import Order

EVALUATION_ROWS = 16_384  # scored at a time; fewer of a wide table ...
EVALUATION_VALUES = 2**20  # ... whose embeddings would take more memory than a training step
TALLIES = 64  # merged at a time, which bounds their memory
AGREE_SECONDS, AGREE_STEPS = 0.5, 10  # several processes agree so often on stopping and on checkpoints
SAVE, STOP = 1, 2  # what the processes agree on; the larger one wins
NOT_IN_FINGERPRINT = (
    "threads",
    "importance",
    "checkpoint_minutes",
    "memory_fraction",
    "compile_model",
)  # change no result


@dataclass
class Progress:
    """How far the training is. Checkpoints contain it, next to weights and optimizer."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    loss_sum: float = 0.0
    """Sum of all processes' losses in this epoch so far."""
    history: list[JsonObject] = field(default_factory=list)
    best_epoch: int = 0
    """Epoch (from 1) with the lowest validation loss so far; 0 before the first."""
    finished: bool = False
    seconds: float = 0.0
    """Seconds of training, including those before a resume."""


class Trainer:
    """One training from its start, or from its newest checkpoint, to its last epoch."""

    def __init__(self, hp: Hyperparameters, paths: Paths, ranks: Ranks, tables: Tables, sigterm: Sigterm) -> None:
        self.hp, self.paths, self.ranks, self.tables, self.sigterm = hp, paths, ranks, tables, sigterm
        self.started = time.monotonic()
        self.saved_at = self.started
        self.plan = Plan.of(hp, tables.splits["train"].rows, ranks.world)
        self.dtype = torch.float64 if hp.precision == "float64" else torch.float32
        bf16 = ranks.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.autocast = hp.precision == "bfloat16" or (hp.precision == "auto" and bf16)
        shares = tables.shares("train")
        self.scoring = scoring_of(shares, balanced=hp.class_weight == "balanced")
        self.shape = Shape(
            numeric=len(tables.encoder.numeric),
            missing=tuple(i for i, column in enumerate(tables.encoder.numeric) if column.missing),
            cardinalities=tuple(tables.encoder.cardinalities),
            embedding_size=hp.embedding_size,
            hidden_size=hp.hidden_size,
            hidden_layers=hp.hidden_layers,
            dropout=hp.dropout,
            outputs=1 if tables.classes.binary else len(shares),
            members=hp.ensemble_size,
        )
        torch.manual_seed(hp.seed)
        self.net = TabularNet(self.shape)
        uniform = [1 / len(shares)] * len(shares)
        self.net.start_from(torch.tensor(uniform if hp.class_weight == "balanced" else shares))
        self.net.to(ranks.device, self.dtype)
        self.averaged = AveragedNet(self.net, hp.averaging_steps)
        self.optimizer = AdamW(parameter_groups(self.net, hp.weight_decay))
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.resume()
        self.model: nn.Module = self.net
        if ranks.world > 1:
            self.model = DistributedDataParallel(self.net, broadcast_buffers=False)  # they never change
        if hp.compile_model:
            self.model.compile()

    def run(self) -> None:
        """Train until the epochs or the patience run out."""
        self.introduce()
        self.sigterm.held = True
        while not self.progress.finished:
            self.train_epoch()
            self.end_epoch()

    def introduce(self) -> None:
        """Log what was found and what was chosen."""
        tables = self.tables
        for warning in tables.warnings:
            self.say(f"Warning: {warning}")
        sizes = ", ".join(f"{split} {rows.rows:,}" for split, rows in tables.splits.items())
        where = "held in memory" if tables.resident else "streamed from disk"
        self.say(f"Rows: {sizes}; {where}; {self.ranks.world} process(es) on {self.ranks.device.type}")
        shown = [
            f"{value} ({share:.1%})" for value, share in zip(tables.classes.values, tables.shares("train"), strict=True)
        ]
        positive = f"; {tables.classes.values[1]} is positive" if tables.classes.binary else ""
        self.say(f"Label {self.hp.label_name}: {', '.join(shown[:10])}{', ...' if len(shown) > 10 else ''}{positive}")
        self.say(self.plan.describe())
        parameters = sum(parameter.numel() for parameter in self.net.parameters())
        members = f"{self.shape.members} members sharing {parameters:,} parameters"
        average = (
            f"averaged over the last {self.hp.averaging_steps} steps at most"
            if self.hp.averaging_steps
            else "not averaged"
        )
        self.say(f"Network: {members if self.shape.members > 1 else f'{parameters:,} parameters'}; weights {average}")

    def train_epoch(self) -> None:
        """Take the remaining steps of the epoch."""
        hp, progress, train = self.hp, self.progress, self.tables.splits["train"]
        self.model.train()
        losses = torch.zeros((), dtype=torch.float64, device=self.ranks.device)
        self.save_or_stop(losses)
        order = Order(train.rows, self.plan.batch_size, hp.seed, progress.epoch, train.width)
        begun, first, agreed = time.monotonic(), progress.step, 1
        for words in train.batches(order, self.ranks, first=first):
            losses += self.train_step(words, order.start(progress.step + 1) - order.start(progress.step))
            progress.step += 1
            if self.ranks.world == 1 or progress.step % agreed == 0:
                self.save_or_stop(losses)
                step_seconds = (time.monotonic() - begun) / (progress.step - first)
                agreed = self.ranks.from_first(max(1, min(AGREE_STEPS, int(AGREE_SECONDS / step_seconds))))
        self.add_losses(losses)
        seconds, rows = time.monotonic() - begun, train.rows - order.start(first)
        if rows:
            left = seconds / rows * train.rows * (self.plan.epochs - progress.epoch - 1)
            pace = f"{rows / seconds:,.0f} rows/s, at most {left:.0f} s left"
            self.say(f"Epoch {progress.epoch + 1}/{self.plan.epochs}: {pace}")

    def train_step(self, words: Tensor, rows: int) -> Tensor:
        """Take one optimiser step on this process's share of a batch of so many rows; return the sum of its losses."""
        hp, done = self.hp, self.steps_done
        self.ranks.seed(((hp.seed * 1_000_003 + done) * self.ranks.world + self.ranks.rank) % 2**63)
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.autocast):
            logits, labels = self.logits(self.model, words, self.dtype)
        loss = self.scoring.loss(logits.to(self.dtype), labels)
        # Processes average their gradients: scaled like this, the result is the gradient of the whole batch's mean.
        torch.autograd.backward(loss * (self.ranks.world / rows))
        norm = torch.zeros((), device=self.ranks.device)
        if hp.gradient_clip:
            norm = nn.utils.clip_grad_norm_(self.net.parameters(), hp.gradient_clip)
        self.optimizer.step(hp.learning_rate * min(1.0, (done + 1) / (hp.warmup_steps + 1)))
        self.averaged.follow(self.net, done + 1)
        return loss.detach().add(norm, alpha=0)  # NaN if the gradient is: add_losses then raises

    def logits(self, model: nn.Module, words: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return a network's logits and the classes of encoded rows."""
        numeric, categories, labels = self.tables.splits["train"].parts(words.to(self.ranks.device), dtype)
        return model(numeric, categories), labels

    @property
    def steps_done(self) -> int:
        """Steps since the training's start."""
        return self.progress.epoch * self.plan.steps + self.progress.step

    def save_or_stop(self, losses: Tensor | None = None) -> None:
        """Save when it is due; after SIGTERM, save and raise Interrupted. All processes do the same."""
        due = self.ranks.first and time.monotonic() - self.saved_at > 60 * self.hp.checkpoint_minutes
        todo = self.ranks.maximum(STOP if self.sigterm.seen else SAVE if due else 0)
        if not todo:
            return
        if losses is not None:
            self.add_losses(losses)
        path = self.save()
        if todo == STOP:
            step, epoch = self.progress.step, self.progress.epoch + 1
            where = "training is over" if self.progress.finished else f"step {step} of epoch {epoch}"
            raise Interrupted(f"SIGTERM after {where}; saved {path}")

    def add_losses(self, losses: Tensor) -> None:
        """Add all processes' losses to the epoch's sum. Raises TrainingError if they are no longer finite."""
        total = float(self.ranks.total(losses))
        losses.zero_()
        if not math.isfinite(total):
            raise TrainingError(
                f"the loss became {total} in epoch {self.progress.epoch + 1}, step {self.progress.step};"
                f" try a learning_rate below {self.hp.learning_rate:g} or a gradient_clip"
            )
        self.progress.loss_sum += total

    def end_epoch(self) -> None:
        """Validate, print the four metrics, keep the best weights, save."""
        progress = self.progress
        tally = self.tally("val", self.serving_net())
        scores = self.ranks.from_first(self.scoring.score(tally) if tally else None)
        values = {
            metrics.TRAIN_LOSS: progress.loss_sum / self.plan.rows,
            metrics.VALIDATION_LOSS: scores.loss,
            metrics.VALIDATION_F1: scores.f1,
            metrics.VALIDATION_AUC: scores.auc,
        }
        for line in metrics.lines(values):
            self.say(line)
        progress.epoch += 1
        progress.step, progress.loss_sum = 0, 0.0
        seconds = round(progress.seconds + time.monotonic() - self.started, 3)
        progress.history.append({"epoch": progress.epoch, **values, "threshold": scores.threshold, "seconds": seconds})
        losses = [epoch[metrics.VALIDATION_LOSS] for epoch in progress.history]
        if min(losses) == losses[-1]:
            progress.best_epoch = progress.epoch
            self.best = {name: tensor.clone() for name, tensor in self.averaged.net.state_dict().items()}
        patient = not self.plan.out_of_patience(progress.epoch, progress.best_epoch)
        progress.finished = progress.epoch >= self.plan.epochs or not patient
        self.save()
        if progress.finished:
            self.say_why(patient=patient)

    def say_why(self, *, patient: bool) -> None:
        """Log why the training stops, and which epoch is kept."""
        progress = self.progress
        if not patient:
            since = f"no lower validation loss since epoch {progress.best_epoch}, which is kept"
            self.say(f"Stopped after epoch {progress.epoch}: {since}")
            return
        self.say(f"Stopped after all {progress.epoch} epochs; epoch {progress.best_epoch} is kept")
        if progress.best_epoch == progress.epoch > 1:
            warning = "the validation loss was still falling at the end: more epochs may give a better model"
            self.tables.warnings.append(warning)
            self.say(f"Warning: {warning}")

    def serving_net(self, weights: dict[str, Tensor] | None = None) -> TabularNet:
        """Return the network as it is served: averaged weights (or these) in float32."""
        net = TabularNet(self.shape).to(self.ranks.device).eval()
        net.load_state_dict(weights or self.averaged.net.state_dict())
        return net

    def tally(self, split: str, net: TabularNet) -> Any:
        """Count a split's rows by output and class; the first process gets the result, the others None."""
        rows, world = self.tables.splits[split], self.ranks.world
        size = evaluation_rows(len(self.hp.features))
        begin, end = self.ranks.share(0, rows.rows)
        exact = rows.rows <= metrics.EXACT_ROWS
        tallies: list[Any] = []
        for part in range(-(-rows.rows // (size * world))):  # as many in all processes
            self.save_or_stop()
            start = min(begin + part * size, end)
            outputs, labels = self.outputs(net, rows.read(start, min(start + size, end)))
            tallies.append(self.scoring.tally(outputs, labels, exact=exact))
            if len(tallies) == TALLIES:
                tallies = [self.scoring.merge(tallies)]
        gathered = self.ranks.gather(self.scoring.merge(tallies))
        if gathered is None:
            return None
        whole = self.scoring.merge(gathered)
        if not self.scoring.finite(whole):
            raise TrainingError(
                f"the network's outputs for the {split} rows are not finite;"
                f" try a learning_rate below {self.hp.learning_rate:g} or a gradient_clip"
            )
        return whole

    def outputs(self, net: TabularNet, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return a served network's outputs for encoded rows, and their classes, on the CPU."""
        with torch.inference_mode(), distributed.full_precision():
            logits, labels = self.logits(net, words)
            return pooled(logits).cpu(), labels.cpu()

    def save(self) -> Path | None:
        """Write a checkpoint, in the first process."""
        self.saved_at = time.monotonic()
        if not self.ranks.first:
            return None
        self.progress.seconds += self.saved_at - self.started
        self.started = self.saved_at
        return checkpoint.save(
            self.paths.checkpoints,
            self.steps_done,
            {
                "fingerprint": self.fingerprint(),
                "progress": asdict(self.progress),
                "model": self.net.state_dict(),
                "averaged": self.averaged.net.state_dict(),
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
            },
        )

    def resume(self) -> None:
        """Continue from the newest intact checkpoint, if there is one."""
        state: checkpoint.State | None = None
        if self.ranks.first:
            state = checkpoint.load(self.paths.checkpoints, self.fingerprint(), lambda text: log(f"Warning: {text}"))
        [state] = self.ranks.from_first([state])  # in a list, because the first process may have none either
        if state is None:
            return
        self.progress = Progress(**state["progress"])
        self.net.load_state_dict(state["model"])
        self.averaged.net.load_state_dict(state["averaged"])
        self.best = {name: tensor.to(self.ranks.device) for name, tensor in state["best"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.say(f"Resumed after epoch {self.progress.epoch}, step {self.progress.step} of {self.plan.steps}")

    def fingerprint(self) -> checkpoint.Fingerprint:
        """Return what a checkpoint must have in common with this training, flat, so that each difference has a name."""
        settings = {k: json.dumps(v) for k, v in asdict(self.hp).items() if k not in NOT_IN_FINGERPRINT}
        digests = {f"{split} data": digest for split, digest in self.tables.digests.items()}
        return {**settings, **digests, "processes": self.ranks.world}

    def say(self, text: str) -> None:
        """Log a line, in the first process."""
        if self.ranks.first:
            log(text)


def evaluation_rows(features: int) -> int:
    """Return how many rows are scored at a time: memory grows with rows times features."""
    return max(1, min(EVALUATION_ROWS, EVALUATION_VALUES // features))
