#!/usr/bin/env bash
# Do kept actions help where several answers are right? The expert holds each bowl by one half of its rim or by the
# other, drawn anew for each episode. A policy learns both, and plans anew at every step, every second, every eighth.
#   tools/measure_modes.sh POLICY VIEWS OUT
# POLICY: a checkpoint of `asyncvla train` to begin with. VIEWS: folder of views of libero_spatial (train_nano.sh), so
# that it goes on seeing. A rerun goes on where it stopped. By environment: TASKS, EPISODES (of each task), INITS,
# STEPS (of training), RATER_STEPS, BATCH, WORKERS, TRAIN_OPTIONS.
set -euo pipefail
policy=$1 views=$2 out=$3
suite=libero_spatial tasks=${TASKS:-all} episodes=${EPISODES:-30}
workers=${WORKERS:-$(env -u OMP_NUM_THREADS nproc)}

collect() { # NAME EPISODES SEED
  asyncvla collect --suite "$suite" --tasks "$tasks" --styles 2 --episodes-per-task "$2" --seed "$3" \
    --workers "$workers" --out "$out/data/$1"
}
collect demonstrations "$episodes" 9000
# shellcheck disable=SC2086
asyncvla train --data "$out/data/demonstrations" --data "$views" --init "$policy" --out "$out/policy" \
  --steps "${STEPS:-4000}" --batch "${BATCH:-64}" --lr 0.0003 --p-earlier 0.5 --draws 2 --aux-weight 1 --shift 2 \
  --holdout 0 ${TRAIN_OPTIONS:-}
collect unseen "$((episodes / 5 + 3))" 9500
asyncvla train-rater --data "$out/data/unseen" --unseen --checkpoint "$out/policy" --label pairwise \
  --draft-steps 5 --steps "${RATER_STEPS:-600}" --out "$out/rated"
if [ ! -d "$out/exported" ]; then
  asyncvla export --checkpoint "$out/rated" --mode sfm --out "$out/exported"
fi
for every in 1 2 8; do
  inits=0-9
  [ "$every" != 1 ] || inits=0-19
  for handover in switch keep keep_random keep_all; do
    asyncvla eval libero --checkpoint "$out/exported" --suite "$suite" --tasks "$tasks" --inits "${INITS:-$inits}" \
      --random-placements --rendering decimated --seed 300 --workers "$workers" --replan "$every" \
      --handover "$handover" --json "$out/results/${handover}_$every.json"
  done
done
asyncvla report "$out/results"
