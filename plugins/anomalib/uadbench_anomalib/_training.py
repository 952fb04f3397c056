"""Training a model of anomalib by Lightning's trainer, as its engine does, on images in memory."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from uadbench import FitContext, Progress

LOUD = ("lightning", "lightning.pytorch", "anomalib")
OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
EPOCHS = 100  # where a model states none


class Trainable(Protocol):
    """How long, and with how many images at a time."""

    epochs: int
    batch: int


@dataclass(frozen=True, slots=True)
class Healthy:
    """Batches of healthy images as anomalib wants them."""

    images: Float[Tensor, "n 3 h w"]
    batch: int

    def loader(self, *, shuffled: bool) -> Any:
        """Over all images."""
        from torch.utils.data import DataLoader

        return DataLoader(self.images, self.batch, shuffle=shuffled, collate_fn=self.batched)  # type: ignore[arg-type]

    def batched(self, rows: list[Tensor]) -> Any:
        """One batch, nothing in it anomalous."""
        from anomalib.data import ImageBatch

        images = torch.stack(rows)
        healthy = torch.zeros(len(rows), *images.shape[-2:], dtype=torch.bool)
        labels = torch.zeros(len(rows), dtype=torch.int64)
        return ImageBatch(image=images, gt_label=labels, gt_mask=healthy, image_path=[""] * len(rows))


def trained(
    method: Trainable, model: Any, train: Float[Tensor, "n 3 h w"], val: Float[Tensor, "m 3 h w"], context: FitContext
) -> None:
    """Trains the model in place; its epochs are told as they end."""
    from lightning.pytorch import Trainer

    own = dict(model.trainer_arguments)
    epochs = method.epochs or int(own.get("max_epochs") or EPOCHS)
    on_gpu = context.device.startswith("cuda")
    options = {
        **own,
        "default_root_dir": context.workdir / "anomalib",
        "accelerator": "gpu" if on_gpu else "cpu",
        "devices": [torch.device(context.device).index or 0] if on_gpu else 1,
        "precision": "bf16-mixed" if context.precision == "bfloat16" else "32-true",
        "max_epochs": epochs,
        "callbacks": [_told(context, epochs)],
        **dict.fromkeys(OFF, False),
    }
    with _quiet():
        Trainer(**options).fit(model, datamodule=_module(Healthy(train, method.batch), Healthy(val, method.batch)))


def _module(train: Healthy, val: Healthy) -> Any:
    """The images as a Lightning data module, with the names that models ask it for."""
    from lightning.pytorch import LightningDataModule

    module = LightningDataModule()
    module.train_dataloader = lambda: train.loader(shuffled=True)  # type: ignore[method-assign]
    module.val_dataloader = lambda: val.loader(shuffled=False)  # type: ignore[method-assign]
    module.name, module.category = "images", "healthy"  # type: ignore[attr-defined]
    module.train_batch_size = module.eval_batch_size = train.batch  # type: ignore[attr-defined]
    return module


def _told(context: FitContext, epochs: int) -> Any:
    """A callback that reports every epoch."""
    from lightning.pytorch.callbacks import LambdaCallback

    def report(trainer: Any, _model: Any) -> None:
        context.report(Progress(min(trainer.current_epoch + 1, epochs), epochs, "epochs", "anomalib"))

    return LambdaCallback(on_train_epoch_end=report)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without hints, bars and advertisements; errors are raised all the same."""
    levels = {name: logging.getLogger(name).level for name in LOUD}
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
