#!/bin/sh
# StyleGAN-V (CVPR 2022), 25 million frames in batches of 64 clips. Motion is paced by the data set as
# the authors advise. Weights: vgbench weights import i3d-k400 FILE, and inception-2015
#
#   sh experiments/stylegan_v.sh [--dry-run] [launcher=slurm] [option=value ...]
set -eu

train() {
    dataset=$1
    shift
    vgbench run -m model=styleganv dataset=$dataset 'seed=range(3)' \
        'protocol.names=[fvd16/styleganv@1,fvd128/styleganv@1,fid50k/styleganv@1]' \
        --eval --run-dir runs/stylegan_v/$dataset "$@"
}

train sky_timelapse_256 model.preset=sky_timelapse "$@"
train ffs_256 model.preset=ffs "$@"
train ucf101_256 "$@"
train rainbow_jelly_256 "$@"
