"""Trains a binary classifier on three parquet channels: `python train.py --name value ...`, or under `torchrun`.

Read from top to bottom: set up, prepare the data, resume or start, train epoch by epoch, score the test rows once,
leave model and report. Everything random is a function of seed, epoch, step and process, so a checkpoint holds no
generator's state and a resumed run goes on as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a script from a folder of any name (the container calls it "code"): let it be the package `training`.
    import importlib.util

    _spec = importlib.util.spec_from_file_location("training", Path(__file__).with_name("__init__.py"))
    assert _spec is not None  # noqa: S101 - the file is there
    sys.modules["training"] = importlib.util.module_from_spec(_spec)

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training import checkpoint, distributed, exits, metrics, report
from training.data import Order, Tables, prepare
from training.distributed import Ranks
from training.errors import Interrupted, TrainingError
from training.exits import Sigterm, log
from training.files import write_whole
from training.hyperparameters import Hyperparameters, Paths, read_hyperparameters
from training.model import Shape, TabularNet, parameter_groups

EVALUATION_ROWS = 16_384  # scored at a time; fewer of a wide table ...
EVALUATION_VALUES = 2**20  # ... whose embeddings would take more memory than a training step's
TALLIES = 64  # merged at a time: bounds their memory
IMPORTANCE_WORK = 200_000  # rows scored to measure all features' importance
AGREE_STEPS = 10  # several processes agree on stopping and on checkpoints every so many steps
SAVE, STOP = 1, 2  # what the processes agree on; the larger one wins
NOT_IN_FINGERPRINT = ("threads", "checkpoint_minutes", "memory_fraction", "compile_model")  # change no result


@dataclass
class Progress:
    """Where the training is: all of it goes into a checkpoint, beside weights and optimiser."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    loss_sum: float = 0.0
    """Sum of all processes' losses in this epoch so far."""
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    """Epoch (from 1) with the lowest validation loss so far; 0 before the first."""
    finished: bool = False
    seconds: float = 0.0
    """Seconds of training, those before a resume included."""


def main(argv: list[str] | None = None) -> int:
    """Train; return the exit status. Whatever goes wrong is one line in the log and in the job's failure file."""
    paths = Paths.from_environment(os.environ)
    if os.environ.get("RANK", "0") == "0":
        paths.failure.unlink(missing_ok=True)
    try:
        sigterm = Sigterm()
        hp = read_hyperparameters(sys.argv[1:] if argv is None else argv)
        ranks = distributed.start(hp.threads)
        with tempfile.TemporaryDirectory(prefix="training-", ignore_cleanup_errors=True) as workdir:
            channels = {"train": paths.train, "val": paths.val, "test": paths.test}
            tables = prepare(channels, hp, ranks, Path(ranks.from_neighbour(workdir)))
        Trainer(hp, paths, ranks, tables, sigterm).run()
        distributed.stop()
    except Interrupted as interrupted:
        log(f"Interrupted: {interrupted}")
        return exits.INTERRUPTED
    except Exception as error:  # the boundary: nothing may leave without its line
        return exits.fail(paths.failure, error)
    return 0


class Trainer:
    """One training from its start, or from its newest checkpoint, to the artifact."""

    def __init__(self, hp: Hyperparameters, paths: Paths, ranks: Ranks, tables: Tables, sigterm: Sigterm) -> None:
        self.hp, self.paths, self.ranks, self.tables, self.sigterm = hp, paths, ranks, tables, sigterm
        self.started = time.monotonic()
        self.saved_at = self.started
        self.dtype = torch.float64 if hp.precision == "float64" else torch.float32
        bf16 = ranks.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.autocast = hp.precision == "bfloat16" or (hp.precision == "auto" and bf16)
        rate = tables.rate("train")
        self.weights = (0.5 / (1 - rate), 0.5 / rate) if hp.class_weight == "balanced" else (1.0, 1.0)
        self.shape = Shape(
            numeric=len(tables.encoder.numeric),
            missing=tuple(i for i, column in enumerate(tables.encoder.numeric) if column.missing),
            cardinalities=tuple(tables.encoder.cardinalities),
            embedding_size=hp.embedding_size,
            hidden_size=hp.hidden_size,
            hidden_layers=hp.hidden_layers,
            dropout=hp.dropout,
        )
        torch.manual_seed(hp.seed)
        self.net = TabularNet(self.shape).to(ranks.device, self.dtype)
        self.net.start_from(0.5 if hp.class_weight == "balanced" else rate)
        groups = parameter_groups(self.net, hp.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=hp.learning_rate, fused=True)
        self.steps = tables.splits["train"].rows // hp.batch_size
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.resume()
        self.model: nn.Module = self.net
        if ranks.world > 1:
            self.model = DistributedDataParallel(self.net, broadcast_buffers=False)  # they never change
        if hp.compile_model:
            self.model.compile()

    def run(self) -> None:
        """Train until the epochs are over or patience is; then finish."""
        for warning in self.tables.warnings:
            self.say(f"Warning: {warning}")
        sizes = ", ".join(f"{split} {rows.rows:,}" for split, rows in self.tables.splits.items())
        where = "held in memory" if self.tables.resident else "streamed from disk"
        self.say(f"Rows: {sizes}; {where}; {self.ranks.world} process(es) on {self.ranks.device.type}")
        self.sigterm.held = True
        while not self.progress.finished:
            self.train_epoch()
            self.end_epoch()
        self.finish()

    def train_epoch(self) -> None:
        """Make the epoch's steps that are left."""
        hp, progress, train = self.hp, self.progress, self.tables.splits["train"]
        self.model.train()
        losses = torch.zeros((), dtype=torch.float64, device=self.ranks.device)
        self.save_or_stop(losses)
        order = Order(train.rows, hp.batch_size, hp.seed, progress.epoch, train.width)
        begun, rows = time.monotonic(), 0
        for words in train.batches(order, self.ranks, first=progress.step):
            losses += self.train_step(words)
            progress.step += 1
            rows += hp.batch_size
            if self.ranks.world == 1 or progress.step % AGREE_STEPS == 0:
                self.save_or_stop(losses)
        self.add_losses(losses)
        seconds = time.monotonic() - begun
        if rows:
            left = seconds / rows * hp.batch_size * self.steps * (hp.epochs - progress.epoch - 1)
            self.say(f"Epoch {progress.epoch + 1}/{hp.epochs}: {rows / seconds:,.0f} rows/s, at most {left:.0f} s left")

    def train_step(self, words: Tensor) -> Tensor:
        """Take one optimiser step on this process's share of a batch; return the sum of its losses."""
        hp, done = self.hp, self.progress.epoch * self.steps + self.progress.step
        self.ranks.seed(((hp.seed * 1_000_003 + done) * self.ranks.world + self.ranks.rank) % 2**63)
        for group in self.optimizer.param_groups:
            group["lr"] = hp.learning_rate * schedule(done, self.steps * hp.epochs, hp.warmup_fraction)
        loss = metrics.log_loss(*self.logits(self.model, words), self.weights)
        # The gradients are averaged over processes: so scaled, they are those of the whole batch's mean.
        torch.autograd.backward(loss * (self.ranks.world / hp.batch_size))
        norm = torch.zeros((), device=self.ranks.device)
        if hp.gradient_clip:
            norm = nn.utils.clip_grad_norm_(self.net.parameters(), hp.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach().add(norm, alpha=0)  # not a number when the gradient is none: that must not go unseen

    def logits(self, model: nn.Module, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's logits and the labels of encoded rows."""
        numeric, categories, labels = self.tables.splits["train"].parts(words.to(self.ranks.device), self.dtype)
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.autocast):
            logits = model(numeric, categories)
        return logits.to(labels.dtype), labels

    def save_or_stop(self, losses: Tensor | None = None) -> None:
        """Save when it is time to; at SIGTERM save and raise Interrupted. All processes do the same."""
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
        """Add all processes' losses to the epoch's sum; raises TrainingError when they are no longer numbers."""
        total = float(self.ranks.total(losses))
        losses.zero_()
        if not math.isfinite(total):
            raise TrainingError(
                f"the loss became {total} in epoch {self.progress.epoch + 1}, step {self.progress.step};"
                f" try a learning_rate below {self.hp.learning_rate:g} or a gradient_clip"
            )
        self.progress.loss_sum += total

    def end_epoch(self) -> None:
        """Validate, print the four metrics, remember the best weights, save."""
        progress, hp = self.progress, self.hp
        tally = self.tally("val")
        scores: metrics.Scores = self.ranks.from_first(metrics.score(tally, weights=self.weights) if tally else None)
        values = {
            metrics.TRAIN_LOSS: progress.loss_sum / (self.steps * hp.batch_size),
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
            self.best = {name: tensor.detach().clone() for name, tensor in self.net.state_dict().items()}
        stale = progress.epoch - progress.best_epoch
        progress.finished = progress.epoch >= hp.epochs or (0 < hp.patience <= stale)
        self.save()
        if progress.finished:
            self.say(f"Stopped after epoch {progress.epoch}: {self.why_stopped(stale)}")

    def why_stopped(self, stale: int) -> str:
        """Say why the training is over."""
        if 0 < self.hp.patience <= stale:
            return f"the validation loss was lowest in epoch {self.progress.best_epoch} and has not improved since"
        return f"the epochs are over; the validation loss was lowest in epoch {self.progress.best_epoch}"

    def tally(self, split: str) -> metrics.Tally | None:
        """Count a split's rows by logit and class: all of them in the first process, None in the others."""
        rows, world = self.tables.splits[split], self.ranks.world
        size = evaluation_rows(len(self.hp.features))
        begin, end = self.ranks.share(0, rows.rows)
        exact = rows.rows <= metrics.EXACT_ROWS
        tallies: list[metrics.Tally] = []
        self.net.eval()
        with torch.inference_mode():
            for part in range(-(-rows.rows // (size * world))):  # as many in all processes
                self.save_or_stop()
                start = min(begin + part * size, end)
                logits, labels = self.logits(self.net, rows.read(start, min(start + size, end)))
                tallies.append(metrics.tally(logits.cpu(), labels.cpu(), exact=exact))
                if len(tallies) == TALLIES:
                    tallies = [metrics.merge(tallies)]
        gathered = self.ranks.gather(metrics.merge(tallies))
        if gathered is None:
            return None
        whole = metrics.merge(gathered)
        if not bool(torch.isfinite(whole.logits).all()):
            raise TrainingError(
                f"the network's outputs for the {split} rows are no longer numbers;"
                f" try a learning_rate below {self.hp.learning_rate:g} or a gradient_clip"
            )
        return whole

    def importance(self) -> list[dict[str, Any]]:
        """Measure each feature's importance on a random part of the validation rows."""
        rows, features = self.tables.splits["val"], self.hp.features
        count = min(rows.rows, max(1_000, IMPORTANCE_WORK // len(features)))
        order = Order(rows.rows, count, self.hp.seed, epoch=0)

        def auc(words: Tensor) -> float:
            with torch.inference_mode():
                logits, labels = self.logits(self.net, words)
            return metrics.score(metrics.tally(logits.cpu(), labels.cpu())).auc

        return report.importance(auc, rows.take(order.pool(0)[:count].sort().values).cpu(), features, self.hp.seed)

    def save(self) -> Path | None:
        """Write a checkpoint (the first process does)."""
        self.saved_at = time.monotonic()
        if not self.ranks.first:
            return None
        self.progress.seconds += self.saved_at - self.started
        self.started = self.saved_at
        done = self.progress.epoch * self.steps + self.progress.step
        return checkpoint.save(
            self.paths.checkpoints,
            done,
            {
                "fingerprint": self.fingerprint(),
                "progress": asdict(self.progress),
                "model": self.net.state_dict(),
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
            },
        )

    def resume(self) -> None:
        """Go on from the newest whole checkpoint, if there is one."""
        state = None
        if self.ranks.first:
            state = checkpoint.load(self.paths.checkpoints, self.fingerprint(), lambda text: log(f"Warning: {text}"))
        state = self.ranks.from_first(state)
        if state is None:
            return
        self.progress = Progress(**state["progress"])
        self.net.load_state_dict(state["model"])
        self.best = {name: tensor.to(self.ranks.device) for name, tensor in state["best"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.say(f"Resumed after epoch {self.progress.epoch}, step {self.progress.step} of {self.steps}")

    def fingerprint(self) -> dict[str, Any]:
        """Return what a checkpoint must share with this training, flat, so that a difference has a name."""
        told = {k: json.dumps(v) for k, v in asdict(self.hp).items() if k not in NOT_IN_FINGERPRINT}
        digests = {f"{split} data": digest for split, digest in self.tables.digests.items()}
        return {**told, **digests, "processes": self.ranks.world}

    def finish(self) -> None:
        """Take the best weights, score the test rows once, leave artifact and report."""
        self.net.load_state_dict(self.best)
        best = self.progress.history[self.progress.best_epoch - 1]
        tally = self.tally("test")
        if tally is None:
            return
        for line in metrics.lines(best):
            self.say(f"Kept epoch {self.progress.best_epoch}: {line}")  # the last values: those of the artifact
        test = metrics.score(tally, weights=self.weights, threshold=best["threshold"])
        self.say(f"Test: loss {test.loss:.6f}, AUC {test.auc:.6f}, F1 {test.f1:.6f} at threshold {test.threshold:.4f}")
        calibration, calibration_error = report.calibration(tally)
        tables, hp = self.tables, self.hp
        rows = {split: table.rows for split, table in tables.splits.items()}
        fingerprint = json.dumps(self.fingerprint(), sort_keys=True)
        content = report.dump(
            {
                "schema": report.SCHEMA,
                "hyperparameters": asdict(hp),
                "fingerprint": hashlib.sha256(fingerprint.encode()).hexdigest(),
                "versions": report.versions(),
                "device": self.ranks.device.type,
                "processes": self.ranks.world,
                "data": {"rows": rows, "positive": tables.positive, "digests": tables.digests},
                "history": self.progress.history,
                "best_epoch": self.progress.best_epoch,
                "threshold": best["threshold"],
                "metrics": {name: best[name] for name in metrics.NAMES},
                "test": report.score_entry(test),
                "baseline": metrics.constant_baseline(tables.rate("train"), tables.rate("val"), self.weights),
                "importance": self.importance(),
                "calibration": calibration,
                "calibration_error": calibration_error,
                "confusion_matrix": report.confusion(tally, best["threshold"]),
                "warnings": tables.warnings,
                "seconds": {"training": round(self.progress.seconds, 3)},
            }
        )
        names = {"label_name": hp.label_name, "id_name": hp.id_name}
        report.write_model(self.paths.model, self.net, self.shape, tables, best["threshold"], names)
        for folder in (self.paths.model, self.paths.output):
            write_whole(folder / "report.json", content.encode())
        try:
            report.write_curves(self.paths.model / "curves.png", self.progress.history)
        except Exception as error:  # a picture of what report.json says is not worth a trained model
            self.say(f"Warning: curves.png was not drawn: {exits.explain(error)}")

    def say(self, text: str) -> None:
        """Log a line once, however many processes there are."""
        if self.ranks.first:
            log(text)


def evaluation_rows(features: int) -> int:
    """Return how many rows are scored at a time: memory depends on their number times that of the features."""
    return max(1, min(EVALUATION_ROWS, EVALUATION_VALUES // features))


def schedule(step: int, steps: int, warmup: float) -> float:
    """Return the factor of the learning rate: a linear rise, then half a cosine down to nothing."""
    rise = warmup * steps
    if step < rise:
        return (step + 1) / (math.floor(rise) + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


if __name__ == "__main__":
    sys.exit(main())
