import numpy as np
import pytest

from tests.weights.made import save_checkpoint
from vgbench.errors import WeightsError
from vgbench.weights.tf_checkpoint import checkpoint_files, read_checkpoint


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    shapes = [(), (3,), (1, 1, 1, 1, 4), (2, 3, 4), (5, 0)] * 30
    return {
        f"net/layer_{i}/w": rng.standard_normal(shape).astype(np.float32)
        for i, shape in enumerate(shapes)
    }


@pytest.fixture
def prefix(tmp_path, variables):
    save_checkpoint(tmp_path / "variables" / "model.ckpt", variables)
    return tmp_path / "variables" / "model.ckpt"


def read(prefix):
    return read_checkpoint(*checkpoint_files(prefix))


def test_round_trip_over_several_blocks(prefix, variables):
    tensors = read(prefix)
    assert tensors.keys() == variables.keys()
    for name, value in variables.items():
        assert tensors[name].shape == value.shape
        assert (tensors[name].numpy() == value).all()


def test_every_spelling_of_the_path(prefix):
    index = prefix.with_name("model.ckpt.index")
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    for path in (prefix, index, data, prefix.parent, prefix.parent.parent):
        assert checkpoint_files(path) == (index, data)


def test_other_files_are_no_checkpoint(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"x")
    assert checkpoint_files(tmp_path / "x.pt") is None
    assert checkpoint_files(tmp_path) is None
    assert checkpoint_files(tmp_path / "absent") is None


def test_a_flipped_bit_names_the_tensor(prefix):
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    with pytest.raises(WeightsError, match=r"checksum of tensor 'net/layer_9[0-9]?/w'"):
        read(prefix)


def test_a_short_data_file(prefix):
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="cut short"):
        read(prefix)


@pytest.mark.parametrize("position", [3, 200, -1])
def test_a_damaged_index(prefix, position):
    index = prefix.with_name("model.ckpt.index")
    content = bytearray(index.read_bytes())
    content[position] ^= 0x10
    index.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable checkpoint index"):
        read(prefix)


def test_a_missing_half(prefix):
    prefix.with_name("model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(WeightsError, match=r"data-00000-of-00001 does not exist"):
        read(prefix)


def test_other_types_are_refused(tmp_path, variables):
    save_checkpoint(tmp_path / "int32", variables, dtype=3)
    with pytest.raises(WeightsError, match="has TensorFlow type 3"):
        read(tmp_path / "int32")


@pytest.mark.parametrize(
    ("extra", "cause"),
    [
        (b"\x0b", "a record has the unknown wire type 3"),
        (b"\x10\x05", "a record holds a number where a message is expected"),
    ],
)
def test_a_record_of_another_kind(prefix, extra, cause):
    index = prefix.with_name("model.ckpt.index")
    save_checkpoint(prefix, {"w": np.zeros(3, np.float32)}, extra=extra)
    with pytest.raises(WeightsError) as caught:
        read(prefix)
    assert str(caught.value) == f"{index} is not a readable checkpoint index: {cause}"
