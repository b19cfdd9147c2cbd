"""Parity files of our own, from second implementations that share no code with vgbench."""

from tests.parity.made import (
    frechet,
    g3an,
    i3d,
    inception,
    jet,
    style_discriminators,
    style_filled,
    style_images,
    style_primitives,
    style_videos,
    styleinv_encoder,
    styleinv_motion,
    stylevideogan,
)

# What writes the files of each test module.
FAMILIES = {
    "g3an": g3an,
    "i3d": i3d,
    "inception": inception,
    "frechet": frechet,
    "jet": jet,
    "stylesv_primitives": style_primitives,
    "stylesv_motion": style_videos,
    "stylesv_generators": style_videos,
    "stylesv_discriminator": style_discriminators,
    "stylesv_sgv_discriminator": style_discriminators,
    "styleinv_video_d": style_discriminators,
    "stylesv_full256": style_filled,
    "styleinv_sg2": style_images,
    "styleinv_encoder": styleinv_encoder,
    "styleinv_motion": styleinv_motion,
    "stylevideogan": stylevideogan,
}


def write_all(folder, small):
    """Writes the small files of every family to `folder`, or all their files."""
    folder.mkdir(parents=True, exist_ok=True)
    for family in dict.fromkeys(FAMILIES.values()):
        family.write(folder, small)
