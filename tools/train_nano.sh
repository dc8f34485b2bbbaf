#!/usr/bin/env bash
# The nano policy from nothing, in one go: collect, train, some rounds of letting it drive, correcting it and
# training on, rate, export.
# Views teach it to see, demonstrations to act, corrections to come back. Each round adds views, too.
#   tools/train_nano.sh OUT
# A rerun goes on where it stopped. By environment: SUITES, TASKS, VIEWS (of each task; a third as many in each round),
# EPISODES (of each task and round; twice as many demonstrations), ROUNDS (of corrections), STEPS (of a round's
# training; half as many again before them), RATER_STEPS, BATCH, ROUND_LR (learning rate of the rounds), WORKERS
# (processes that collect), RENDERING (full with a GPU, whose EGL renders meshes as fast as it does decimated ones),
# TRAIN_OPTIONS (more of them, such as "--compile", which needs a C++ compiler, or "--workers 8" with a GPU).
set -euo pipefail
out=$1
suites=${SUITES:-libero_object libero_spatial libero_goal} tasks=${TASKS:-all}
episodes=${EPISODES:-10} views=${VIEWS:-400} rounds=${ROUNDS:-3}
steps=${STEPS:-8000} batch=${BATCH:-64} rendering=${RENDERING:-decimated}
workers=${WORKERS:-$(env -u OMP_NUM_THREADS nproc)}

# With many cores collections run beside each other, so that none waits for the last part of another.
finish() { # PROCESS
  [ "$workers" -ge 8 ] || wait "$1"
}
collect() { # NAME EPISODES SEED OPTIONS...
  local suite process running=()
  for suite in $suites; do
    asyncvla collect --suite "$suite" --tasks "$tasks" --episodes-per-task "$2" --seed "$3" --workers "$workers" \
      --rendering "$rendering" --out "$out/data/$1/$suite" "${@:4}" &
    running+=($!)
    finish $!
  done
  for process in "${running[@]}"; do wait "$process"; done
}
data() { # NAMES...
  for name in "$@"; do for suite in $suites; do printf -- '--data %s ' "$out/data/$name/$suite"; done; done
}
mixture() { # NAME=WEIGHT... (how often a frame comes in an epoch)
  echo "lerobot_datasets:"
  for name in "$@"; do for part in "$out/data/${name%=*}"/*/*/; do
    echo "  - {root: \"$part\", weight: ${name#*=}}"
  done; done
}
train() { # RUN INIT STEPS LEARNING_RATE SHARE_OF_EARLIER_PLANS NAME=WEIGHT...
  mixture "${@:6}" > "$out/$1.yaml"
  # shellcheck disable=SC2086
  asyncvla train --data "$out/$1.yaml" --init "$2" --out "$out/$1" --steps "$3" --lr "$4" --p-earlier "$5" \
    --draws 2 --aux-weight 1 --shift 2 --batch "$batch" --holdout 0 ${TRAIN_OPTIONS:-}
}

collect views "$views" 7000 --views 16 &
views_of=$!
finish "$views_of"
collect demonstrations "$((2 * episodes))" 5000
wait "$views_of"
if [ ! -d "$out/start" ]; then
  # shellcheck disable=SC2046
  asyncvla init --size nano --random $(data demonstrations) --image-size 112 --chunk-size 16 \
    --n-action-steps 4 --num-denoise-steps 2 --out "$out/start"
fi
# Its plans are no use yet. Each view has several frames: more than half of what it sees are scenes by the thousand.
seen=(views=1 demonstrations=1)
train policy_0 "$out/start" "$((steps * 3 / 2))" 0.001 0 "${seen[@]}"
for round in $(seq "$rounds"); do
  before=$((round - 1))
  if [ ! -d "$out/learner_$before" ]; then
    asyncvla export --checkpoint "$out/policy_$before" --mode sfm --out "$out/learner_$before"
  fi
  collect "views_$round" "$((views / 3))" "$((7000 + 100 * round))" --views 16
  collect "corrections_$round" "$episodes" "$((6000 + 100 * round))" --rollout-policy "$out/learner_$before"
  seen+=("views_$round=1" "corrections_$round=1")
  train "policy_$round" "$out/policy_$before" "$steps" "${ROUND_LR:-0.0003}" 0.5 "${seen[@]}"
done
# Episodes that trained nothing: on others a policy looks better than it is.
collect unseen "$((episodes / 3 + 3))" 8000
# shellcheck disable=SC2046
asyncvla train-rater $(data unseen) --unseen --checkpoint "$out/policy_$rounds" --label pairwise \
  --draft-steps 2 --steps "${RATER_STEPS:-600}" --out "$out/rated"
if [ ! -d "$out/policy" ]; then
  asyncvla export --checkpoint "$out/rated" --mode sfm --out "$out/policy"
fi
echo "The policy is in $out/policy"
