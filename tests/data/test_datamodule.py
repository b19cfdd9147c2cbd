import pytest
import pytorch_lightning as pl
import torch

from tests.data.test_clips import CountingSource
from vgbench.data.datamodule import ClipDataModule
from vgbench.errors import DataError
from vgbench.sampling import Contiguous
from vgbench.types import SampleRequest


class Recorder(pl.LightningModule):
    """Notes the samples it is shown; counts them as the methods do."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.clips_seen, self.numbers = 0, []
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch):
        self.numbers += batch["n"].tolist()
        self.clips_seen += len(batch["n"])

    def on_save_checkpoint(self, checkpoint):
        checkpoint["clips_seen"] = self.clips_seen

    def on_load_checkpoint(self, checkpoint):
        self.clips_seen = checkpoint["clips_seen"]


def module(fingerprint="0" * 64, seed=0, allow_change=False):
    source = CountingSource([30] * 7)
    source.fingerprint = fingerprint
    return ClipDataModule(source, SampleRequest(Contiguous(4)), 3, seed, allow_change)


def fit(steps, path, checkpoint=None, epochs=1, data=None):
    recorder = Recorder()
    trainer = pl.Trainer(
        max_epochs=epochs, limit_train_batches=steps, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=path,
    )  # fmt: skip
    trainer.fit(recorder, datamodule=data or module(), ckpt_path=checkpoint)
    return trainer, recorder


def test_training_goes_on_where_it_stopped(tmp_path):
    trainer, first = fit(4, tmp_path)
    assert first.numbers == list(range(12))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    _, second = fit(4, tmp_path, tmp_path / "a.ckpt", epochs=2)
    assert second.numbers == list(range(12, 24))


def test_checkpoint_carries_the_key_of_the_data(tmp_path):
    trainer, _ = fit(1, tmp_path)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["ClipDataModule"] == {"n": 3, "key": "0" * 64, "seed": 0}


@pytest.mark.parametrize("other", [{"fingerprint": "1" * 64}, {"seed": 1}])
def test_other_data_is_refused(other):
    state = module().state_dict()
    module().load_state_dict(state)
    with pytest.raises(DataError, match="the checkpoint was trained on other data"):
        module(**other).load_state_dict(state)


def test_other_data_is_taken_if_told_to():
    module("1" * 64, seed=1, allow_change=True).load_state_dict(module().state_dict())


def test_samples_read_ahead_do_not_count(tmp_path):
    data = module()
    loader = data.train_dataloader

    def reading_ahead():
        made = loader()
        made.read_ahead = True
        return made

    data.train_dataloader = reading_ahead
    trainer, recorder = fit(4, tmp_path, data=data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["ClipDataModule"]["n"] == 12
    assert recorder.numbers == list(range(12))
