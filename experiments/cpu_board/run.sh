#!/bin/sh
# Every method on one data set, on two CPU cores: trained, measured before and after, on one page.
#
#   sh experiments/cpu_board/run.sh                      # `shapes`, drawn on the fly
#   DATASET=digits sh experiments/cpu_board/run.sh       # or the name of a prepared data set
#
# Stopped at any point, the same command goes on. Image GANs that several methods start from are trained
# once. Two runs at a time, a core each, take less time than one after the other on both. Everything is
# in runs/cpu_board-DATASET: board.html, board.csv, board.md and the runs.
set -eu

dataset=${DATASET:-shapes}
board=${BOARD:-runs/cpu_board-$dataset}

code=0
vgbench run -m model=g3an,styleganv,stylesv,styleinv,stylevideogan dataset=$dataset budget=demo \
    --jobs "${JOBS:-2}" --keep-going --eval --run-dir "$board" "$@" || code=$?
case " $* " in *" --dry-run "*) exit $code ;; esac

for last in "$board"/*/checkpoints/last.ckpt; do
    run=${last%/checkpoints/last.ckpt}
    vgbench sample "$run" -n 8 --scale 2 -o "$run/sample.png"
done
vgbench leaderboard export --format csv,md,html -o "$board/board.csv" "$board"
vgbench leaderboard show "$board"
exit $code
