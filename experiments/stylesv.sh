#!/bin/sh
# StyleSV (ICLR 2023), with and without the temporal shift module of its discriminator: the chart of the
# project page. The image stage has 25 million images, the video GAN as many frames; both kinds of the
# video GAN start from the same image stage. Weights: vgbench weights import i3d-k400 FILE
#
#   sh experiments/stylesv.sh [--dry-run] [launcher=slurm] [option=value ...]
set -eu

train() {
    dataset=$1
    shift
    vgbench run -m model=stylesv dataset=$dataset model.temporal_shift=true,false 'seed=range(3)' \
        'protocol.names=[fvd16/styleganv@1,fvd128/styleganv@1]' \
        --eval --run-dir runs/stylesv/$dataset "$@"
}

train sky_timelapse_256 model.preset=sky_timelapse "$@"
train taichi_hd_256 model.preset=taichi_hd "$@"
train youtube_driving_256 model.preset=release "$@"
