#!/bin/sh
# G3AN (CVPR 2020) on UvA-NEMO as in the published training script: 5001 epochs of about 12 batches of
# 96 clips, frame step drawn from 2 and 3. The paper's training length on its other data sets is not
# published; they get as many clips. Weights: vgbench weights import resnext101-k400 FILE
#
#   sh experiments/g3an.sh [--dry-run] [launcher=slurm] [option=value ...]
set -eu

for dataset in uva_nemo_64 mug_64 weizmann_64 ucf101_64; do
    vgbench run -m model=g3an dataset=$dataset 'seed=range(3)' \
        'protocol.names=[vfid/g3an@1]' \
        --eval --run-dir runs/g3an/$dataset "$@"
done
