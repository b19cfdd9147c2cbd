#!/bin/sh
# StyleVideoGAN (BMVC 2021) on ten minutes of one person; the paper's footage is not public.
#
#   vgbench data prepare subject --from footage.mp4 --resolution 256 --chunk 250
#   sh experiments/stylevideogan.sh [--dry-run] [launcher=slurm] [option=value ...]
#
# DATASET names other prepared footage. Weights: vgbench weights import i3d-k400 FILE
set -eu

dataset=${DATASET:-subject_256}
vgbench run -m model=stylevideogan dataset=$dataset 'seed=range(3)' \
    'protocol.names=[fvd16/styleganv@1,fvd128/styleganv@1]' \
    --eval --run-dir runs/stylevideogan/$dataset "$@"
