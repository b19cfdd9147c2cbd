"""StyleSV's video discriminator against tensors recorded from the published one."""

from tests.parity.video_discriminators import assert_every_entry_is_known, check_case

FILES = "stylesv_D*.npz"


def test_every_entry_is_known(recorded):
    assert_every_entry_is_known(*recorded)


def test_logits_and_gradients_of_two_orders(recorded):
    arrays, meta = recorded
    assert meta, "the file has no cases"
    for case in meta:
        check_case(case, arrays, meta[case])
