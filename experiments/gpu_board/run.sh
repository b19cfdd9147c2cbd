#!/bin/sh
# Every method at 64x64 on one GPU: the networks of `budget=short`, with few clips.
#
#   sh experiments/gpu_board/run.sh                      # `shapes`, drawn on the fly
#   DATASET=mine_64 sh experiments/gpu_board/run.sh      # or a data set prepared at 64x64
#
# Stopped at any point, the same command goes on. Everything is in runs/gpu_board-DATASET.
set -eu

dataset=${DATASET:-shapes}
board=${BOARD:-runs/gpu_board-$dataset}

# method, thousands of clips, and thousands of clips or images of each of its stages
train() {
    model=$1 kclips=$2
    shift 2
    vgbench run -m model=$model dataset=$dataset budget=short trainer=gpu budget.kclips=$kclips \
        budget.checkpoint_kclips=$kclips 'protocol.names=[hed16,hfd16]' \
        --eval --run-dir "$board/$model" "$@"
}

train g3an 200 "$@"
train styleganv 300 "$@"
train stylesv 100 stages.image.kclips=300 "$@"
train styleinv 100 stages.image.kclips=500 stages.inversion.kclips=100 "$@"
train stylevideogan 1000 stages.image.kclips=500 stages.inversion.kclips=100 "$@"

case " $* " in *" --dry-run "*) exit ;; esac

vgbench leaderboard export --format csv,md,html -o "$board/board.csv" "$board"
vgbench leaderboard show "$board"
