"""Peer in training: RecTools' SASRecModel with the loss over the whole catalog, as documented.

Settings: its own defaults, but for the shape of the model and what else is given as JSON: data,
users, epochs, threads, seed, width, blocks, heads, length, dropout, batch. What comes out is what
it took, as JSON, and the ten items found for each user, seen ones left out.

python -m benchmarks.peers.rectools_trainer FOLDER '{"data": ..., "epochs": 2, ...}'
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks.published import Lines, read_lines

K = 10


class Stopwatch(pytorch_lightning.Callback):
    """Lightning's extension point: what all epochs take, without what goes before."""

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        """The first epoch begins."""
        if not trainer.current_epoch:
            self.began_s = time.perf_counter(), time.process_time()

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """All are over."""
        ended_s = time.perf_counter(), time.process_time()
        wall_s, cpu_s = np.subtract(ended_s, self.began_s).tolist()
        loss = float(trainer.callback_metrics["train_loss"])
        self.taken = {"wall_s": wall_s, "cpu_s": cpu_s, "loss": loss}


def main(folder: str, given: str) -> None:
    """Learns, and writes taken.json and found.npy."""
    settings = json.loads(given)
    torch.set_num_threads(settings["threads"])
    pytorch_lightning.seed_everything(settings["seed"], verbose=False)
    lines = read_lines(Path(settings["data"])).first(settings["users"])
    dataset = Dataset.construct(_interactions(lines.known()))
    model = SASRecModel(
        n_factors=settings["width"],
        n_blocks=settings["blocks"],
        n_heads=settings["heads"],
        session_max_len=settings["length"],
        dropout_rate=settings["dropout"],
        batch_size=settings["batch"],
        epochs=settings["epochs"],
        loss="softmax",
        get_trainer_func=lambda: _trainer(settings["epochs"]),
    )
    model.fit(dataset)
    found = model.recommend(lines.asked().user_N, dataset, k=K, filter_viewed=True)
    found = found.sort_values([Columns.User, Columns.Rank])
    np.save(Path(folder) / "found.npy", found[Columns.Item].to_numpy().reshape(-1, K))
    parameters = sum(each.numel() for each in model.torch_model.parameters())
    taken = {"samples": settings["epochs"] * _targets(model), "parameters": parameters}
    (Path(folder) / "taken.json").write_text(json.dumps(taken | _stopwatch(model).taken))


def _interactions(lines: Lines) -> pd.DataFrame:
    """Times only say what comes first."""
    times = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(lines.user_N)), "s")
    columns = (lines.user_N, lines.item_N, 1.0, times)
    return pd.DataFrame(dict(zip(Columns.Interactions, columns, strict=True)))


def _trainer(epochs: int) -> pytorch_lightning.Trainer:
    """The default trainer of a model, with a stopwatch."""
    return pytorch_lightning.Trainer(
        max_epochs=epochs,
        min_epochs=epochs,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        enable_checkpointing=False,
        devices=1,
        callbacks=[Stopwatch()],
    )


def _stopwatch(model: SASRecModel) -> Stopwatch:
    """That of the copy of the trainer that was at work."""
    found = (each for each in model.fit_trainer.callbacks if isinstance(each, Stopwatch))
    return next(found)


def _targets(model: SASRecModel) -> int:
    """How many positions an epoch learns: of long histories only the newest part."""
    sessions = model.data_preparator.train_dataset.interactions.df.groupby(Columns.User).size()
    return int((sessions - 1).sum())


if __name__ == "__main__":
    main(*sys.argv[1:])
