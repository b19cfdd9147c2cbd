#!/bin/sh
# StyleInV (ICCV 2023): StyleGAN2 on frames, its inversion, then the video GAN, 25 million frames in
# batches of 32 clips. Faces of FaceForensics were trained without augmentation.
# Weights: vgbench weights import i3d-k400 FILE, and inception-2015
#
#   sh experiments/styleinv.sh [--dry-run] [launcher=slurm] [option=value ...]
set -eu

train() {
    dataset=$1
    shift
    vgbench run -m model=styleinv dataset=$dataset 'seed=range(3)' \
        'protocol.names=[fvd16/styleinv@1,fvd128/styleinv@1,fid50k/styleinv@1]' \
        --eval --run-dir runs/styleinv/$dataset "$@"
}

train deeperforensics_256 model.preset=deeper_forensics "$@"
train ffs_256 model.preset=ffs model.augment=none "$@"
train sky_timelapse_256 model.preset=sky_timelapse "$@"
train taichi_hd_256 model.preset=taichi_hd "$@"
