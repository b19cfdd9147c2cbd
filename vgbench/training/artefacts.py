"""Finished stages on disk: weights that other runs start from, named by all that decided them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vgbench.config.schema import RunConfig
from vgbench.errors import CheckpointError
from vgbench.models.base import VideoGAN, plain
from vgbench.models.checkpoint import build_model, file_sha256, find_checkpoint, load_model
from vgbench.training.run_folder import environment
from vgbench.training.weights import needed_weights
from vgbench.types import Stage, VideoSpec

WEIGHTS, ABOUT = "weights.safetensors", "artefact.json"
# Raised by one whenever a finished stage would mean something else; it is part of the key.
FORMAT = 1


@dataclass(frozen=True)
class ReadyStage:
    """A finished stage that a model can start from.

    Attributes:
        name: Of the stage.
        about: What provenance records of it: plain values, `sha256` of its file among them.
        load: Returns the weights, as the stage's model exports them.
    """

    name: str
    about: Mapping[str, Any]
    load: Callable[[], dict[str, Tensor]]


@dataclass(frozen=True)
class Artefact:
    """A folder with the weights of a finished stage and a record of how they came about.

    Attributes:
        path: The folder; it holds `WEIGHTS` and `ABOUT` and nothing that could be executed.
        about: The record.
    """

    path: Path
    about: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Artefact":
        """Returns the artefact in a folder; its weights are not looked at.

        Raises:
            CheckpointError: If its record is not readable.
        """
        try:
            about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
            number = int(about["format"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path / ABOUT} is not readable ({error})\n  {_again(path)}"
            ) from error
        if number > FORMAT:
            raise CheckpointError(
                f"{path} has format {number}, this vgbench reads up to {FORMAT}; upgrade vgbench"
            )
        return cls(path, about)

    def check(self) -> None:
        """Checks that the weights are those of the record.

        Raises:
            CheckpointError: If they are not.
        """
        file = self.path / WEIGHTS
        if not file.is_file():
            raise CheckpointError(f"{file} does not exist\n  {_again(self.path)}")
        found, recorded = file_sha256(file), str(self.about.get("sha256"))
        if found != recorded:
            raise CheckpointError(
                f"{file} is damaged or changed: its SHA-256 is {found[:12]}, {ABOUT} says "
                f"{recorded[:12]}\n  {_again(self.path)}"
            )

    def load(self) -> dict[str, Tensor]:
        """Returns the weights."""
        return load_file(self.path / WEIGHTS)

    def ready(self, stage: str) -> ReadyStage:
        """Returns the artefact as the finished stage of that name; raises as `check`."""
        self.check()
        kept = ("key", "sha256", "remark", "weights")
        about = {k: self.about[k] for k in kept if self.about.get(k)}
        return ReadyStage(stage, {"artefact": self.path.name, **about}, self.load)


def _again(path: Path) -> str:
    return f"remove the folder, and the stage is trained again: rm -r {path}"


def stage_key(
    config: RunConfig, fingerprint: str, spec: VideoSpec, before: Sequence[ReadyStage]
) -> str:
    """Returns the hash of everything that decides the weights of a stage, 64 hex digits.

    Args:
        config: The stage as a run of its own.
        fingerprint: Of the training videos.
        spec: Their size.
        before: The stages that this one starts from.
    """
    weights = needed_weights(config)
    decisive = {
        "format": FORMAT,
        "model": config.model_name,
        "config": plain(asdict(config.model)),
        "kclips": config.budget.kclips,
        "batch_size": config.budget.batch_size,
        "seed": config.seed,
        "fingerprint": fingerprint,
        "spec": asdict(spec),
        "before": {stage.name: stage.about["sha256"] for stage in before},
        **({"weights": weights} if weights else {}),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def artefact_path(parent: Path, config: RunConfig, key: str) -> Path:
    """Returns where the artefact of a key lies: `<model>-<data set>-<12 digits of the key>`."""
    return parent / f"{config.model_name}-{config.dataset_name}-{key[:12]}"


def find_artefact(path: Path, key: str) -> Artefact | None:
    """Returns the artefact in a folder, or None if there is no such folder.

    Raises:
        CheckpointError: If it is not readable, or has another key.
    """
    if not path.exists():
        return None
    found = Artefact.read(path)
    if found.about.get("key") != key:
        raise CheckpointError(f"{path / ABOUT} is of another stage\n  {_again(path)}")
    return found


def publish(path: Path, key: str, config: RunConfig, run: Path, trained: Path) -> Artefact:
    """Makes the folder of an artefact, whole or not at all, from a trained stage.

    Args:
        path: The folder.
        key: Hash of what decides it; see `stage_key`.
        config: The stage as a run of its own.
        run: Folder of the run that trained it.
        trained: Folder of the stage.

    Raises:
        CheckpointError: If it cannot be written.
    """
    model = load_model(trained)
    return write_artefact(path, model.export(), {**_record(model, config, run), "key": key})


def write_artefact(path: Path, weights: Mapping[str, Tensor], record: dict[str, Any]) -> Artefact:
    """Makes the folder of an artefact, whole or not at all.

    Args:
        path: The folder.
        weights: As the model of the stage exports them.
        record: What is known of them.

    Raises:
        CheckpointError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(_owned(weights), temporary / WEIGHTS)
        about = {**record, "sha256": file_sha256(temporary / WEIGHTS)}
        (temporary / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")
        for file in temporary.iterdir():
            _sync(file)
        temporary.rename(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"cannot write {path}: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Artefact(path, about)


def foreign_record(
    model: str, options: Mapping[str, Any], spec: VideoSpec, source: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the record of weights that were trained elsewhere.

    Args:
        model: Registered name of the model that they fit.
        options: Its options, as far as they are known.
        spec: The videos that it makes.
        source: What is known of the file they come from, its `file` and `sha256` among that.
    """
    return {
        "format": FORMAT,
        "key": source["sha256"],
        "model": model,
        "config": plain(dict(options)),
        "spec": asdict(spec),
        "seed": None,
        "budget": {"kclips": None},
        "dataset": "",
        "stages": {},
        "provenance": {"run": source["file"], "source": dict(source), **environment()},
    }


def _owned(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns copies: safetensors refuses tensors that share memory."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}


def _record(model: VideoGAN, config: RunConfig, run: Path) -> dict[str, Any]:
    own = model.provenance
    return {
        "format": FORMAT,
        "model": config.model_name,
        "config": plain(asdict(config.model)),
        "spec": asdict(model.spec),
        "seed": config.seed,
        "budget": asdict(config.budget),
        **{name: own[name] for name in ("dataset", "dataset_config", "dataset_fingerprint")},
        "stages": own.get("stages", {}),
        "remark": config.model.remark(),
        "weights": own.get("weights", {}),
        "provenance": {
            "run": run.resolve().name,
            "clips_seen": model.clips_seen,
            "precision": config.trainer.precision,
            **environment(),
        },
    }


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def given_stage(stage: Stage, path: Path, spec: VideoSpec) -> ReadyStage:
    """Returns the weights that a user gives for a stage, checked to be of its model.

    Args:
        stage: The stage.
        path: An artefact, a run folder or a checkpoint.
        spec: The videos of the run.

    Raises:
        CheckpointError: If it is not readable, of another model, or of another size.
    """
    where = f"model.init.{stage.name}={path}"
    if (path / ABOUT).is_file():
        artefact = Artefact.read(path)
        artefact.check()
        weights, about, load = artefact.load(), artefact.about, artefact.load
    else:
        file = find_checkpoint(path)
        found = load_model(file)
        own = {"config": plain(asdict(found.config)), "remark": found.config.remark()}
        about = {**found.provenance, **own, "sha256": file_sha256(file)}
        weights = found.export()

        def load() -> dict[str, Tensor]:
            return _owned(load_model(file).export())

    if about["model"] != stage.model:
        raise CheckpointError(
            f"{where} holds '{about['model']}', but the stage '{stage.name}' is '{stage.model}'\n"
            "  give an artefact, a run folder or a checkpoint of it      (vgbench ls artefacts)"
        )
    _check_same_networks(where, stage, spec, weights, about["config"])
    kept = {k: about[k] for k in ("sha256", "remark", "weights") if about.get(k)}
    return ReadyStage(stage.name, {"given": str(path), **kept}, load)


# Options that decide what networks do and show in no shape.
_UNSEEN = ("encoder.resolution=",)


def _check_same_networks(
    where: str,
    stage: Stage,
    spec: VideoSpec,
    weights: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> None:
    expected = build_model(stage.config, spec, seed=0).export()
    # Published files may lack whole networks; a model that needs one says so when it starts.
    present = {name.split(".")[0] for name in weights}
    expected = {k: v for k, v in expected.items() if k.split(".")[0] in {"generator", *present}}
    names = [*expected, *(name for name in weights if name not in expected)]
    shapes = {name: (_shape(weights, name), _shape(expected, name)) for name in names}
    wrong = next((name for name, (found, right) in shapes.items() if found != right), None)
    other = _differing(config, plain(asdict(stage.config)))
    unseen = [text for text in other if text.startswith(_UNSEEN)]
    if wrong is None and not unseen:
        return
    options = (
        f"its options differ: {', '.join([*unseen, *other][:3])}"
        if other
        else "its videos differ in size"
    )
    found, right = shapes[wrong] if wrong else ("", "")
    reason = f": '{wrong}' is {found}, expected {right}" if wrong else ""
    raise CheckpointError(f"{where} does not fit the stage '{stage.name}'{reason}\n  {options}")


def _differing(given: Mapping[str, Any], own: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns the options, as far as they are given, that are not a stage's own."""
    texts = []
    for name, value in given.items():
        expected = own.get(name)
        if isinstance(value, Mapping) and isinstance(expected, Mapping):
            texts += _differing(value, expected, f"{prefix}{name}.")
        elif value != expected:
            texts.append(f"{prefix}{name}={value} (expected {expected})")
    return texts


def _shape(weights: Mapping[str, Tensor], name: str) -> str:
    return str(tuple(weights[name].shape)) if name in weights else "absent"


_COLUMNS = ("artefact", "model", "dataset", "size", "kclips", "seed", "MB", "run", "date", "note")


def list_artefacts(parent: Path) -> list[dict[str, Any]]:
    """Returns a row per artefact in a folder, by name; one with a bad record says so."""
    return [_row(path.parent) for path in sorted(parent.glob(f"[!.]*/{ABOUT}"))]


def _row(path: Path) -> dict[str, Any]:
    try:
        about = Artefact.read(path).about
        origin = about["provenance"]
        values = (
            path.name,
            about["model"],
            about["dataset"],
            f"{about['spec']['height']}x{about['spec']['width']}",
            about["budget"]["kclips"],
            about["seed"],
            round((path / WEIGHTS).stat().st_size / 1e6, 1),
            origin["run"],
            origin["time"],
            "",
        )
        return dict(zip(_COLUMNS, values, strict=True))
    except (CheckpointError, OSError, KeyError, TypeError) as error:
        row = dict.fromkeys(_COLUMNS, "")
        return {**row, "artefact": path.name, "note": f"damaged: {str(error).splitlines()[0]}"}
