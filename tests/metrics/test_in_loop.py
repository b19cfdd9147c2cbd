"""torchmetrics: merged states give the numbers of one process, names follow the weights."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import vgbench.metrics
from tests.parity.draws import video
from vgbench.errors import DataError, ProtocolError, UsageError, WeightsError
from vgbench.metrics import EnergyVideoDistance, FrechetVideoDistance, KernelVideoDistance
from vgbench.metrics.evaluator import Evaluator
from vgbench.metrics.extractors.jet import Jet
from vgbench.metrics.protocol import get_protocol

HED, HFD, HMMD = "hed16", "hfd16", "hmmd16"
KINDS = [(EnergyVideoDistance, HED), (FrechetVideoDistance, HFD), (KernelVideoDistance, HMMD)]


def clips(n, seed=0, step=1, frames=16):
    first = [video(seed + i, 1, 28, 28)[0] for i in range(n)]
    moved = [np.stack([np.roll(f, t * step, axis=1) for t in range(frames)]) for f in first]
    return torch.from_numpy(np.stack(moved))


REAL, FAKE = clips(10), clips(9, seed=100, step=3)


def filled(kind, protocol, real=REAL, fake=FAKE, batch=4):
    metric = kind(protocol)
    for side, is_real in ((real, True), (fake, False)):
        for part in side.split(batch):
            metric.update(part, real=is_real)
    return metric


@pytest.mark.filterwarnings("ignore:.*instead of:UserWarning", "ignore:.*spread:UserWarning")
@pytest.mark.filterwarnings("ignore:.*singular:UserWarning")
@pytest.mark.parametrize(("kind", "protocol"), KINDS)
def test_the_number_is_the_evaluators_and_merging_does_not_change_it(kind, protocol):
    (score,) = Evaluator([get_protocol(protocol)], device="cpu").evaluate(REAL, FAKE)
    whole = filled(kind, protocol)
    assert float(whole.compute()) == pytest.approx(score.value, rel=1e-12)
    assert (whole.numbers().ci_lo, whole.numbers().null_z) == (score.ci_lo, score.null_z)
    parts = [filled(kind, protocol, REAL[i::2], FAKE[i::2], batch=3) for i in range(2)]
    parts[0].merge_state(parts[1])
    assert float(parts[0].compute()) == pytest.approx(score.value, rel=1e-12)
    whole.reset()
    with pytest.raises(ProtocolError, match="0 real clips"):
        whole.compute()


def test_names_follow_the_weights(tmp_path):
    assert EnergyVideoDistance().metric == "hED16"
    with pytest.raises(WeightsError, match="i3d-k400"):
        FrechetVideoDistance(weights_dir=tmp_path)
    core = Jet.load()
    core.weights = replace(core.weights, identity="other", sha256="0123456789")
    assert FrechetVideoDistance(extractor=core).metric == "FD16[i3d:01234567]"


def test_wrong_input_is_refused():
    metric = EnergyVideoDistance()
    with pytest.raises(DataError, match="expected uint8"):
        metric.update(torch.rand(2, 16, 28, 28, 3), real=True)
    with pytest.raises(ProtocolError, match="takes clips of 16 frames, got 12"):
        metric.update(clips(2, frames=12), real=True)
    with pytest.raises(UsageError, match="takes energy"):
        EnergyVideoDistance("hfd16")


def test_few_clips_are_told():
    metric = filled(EnergyVideoDistance, HED)
    with pytest.warns(UserWarning, match="hED16: n = 9 < 256: large spread"):
        metric.compute()


def test_checkpoints_of_the_caller_carry_nothing_of_the_metric():
    assert filled(EnergyVideoDistance, HED).state_dict() == {}


class Loop(pl.LightningModule):
    """The three lines of the documentation, in a loop of somebody else."""

    def __init__(self):
        super().__init__()
        self.distance = EnergyVideoDistance()

    def validation_step(self, batch, batch_idx):
        self.distance.update(batch[0], real=True)
        self.distance.update(batch[1], real=False)

    def on_validation_epoch_end(self):
        self.log("hED16", self.distance.compute())


@pytest.mark.filterwarnings("ignore")
def test_in_a_lightning_loop(tmp_path):
    pairs = torch.utils.data.TensorDataset(REAL[:9], FAKE)
    loader = torch.utils.data.DataLoader(pairs, batch_size=4)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    (logged,) = trainer.validate(Loop(), loader, verbose=False)
    expected = filled(EnergyVideoDistance, HED, REAL[:9]).compute()
    assert logged["hED16"] == pytest.approx(float(expected), rel=1e-6)


def test_the_package_is_imported_without_torch():
    code = "import sys, vgbench.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(dir(vgbench.metrics)) == set(vgbench.metrics.__all__)
    with pytest.raises(AttributeError):
        _ = vgbench.metrics.FrechetAudioDistance


def in_two_processes(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metric = filled(EnergyVideoDistance, HED, REAL[rank::2], FAKE[rank::2])
    torch.save(float(metric.compute()), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*spread:UserWarning", "ignore:.*instead of:UserWarning")
def test_two_processes_give_the_number_of_one(tmp_path):
    mp.spawn(in_two_processes, args=(str(tmp_path),), nprocs=2)
    expected = float(filled(EnergyVideoDistance, HED).compute())
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(expected, rel=1e-12)
