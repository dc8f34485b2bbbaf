#!/usr/bin/env bash
# Measures a nano policy.
#   tools/measure_nano.sh CHECKPOINT OUT PART...
# Parts, in this order: choices and handovers (what is the default: on placements that test nothing), places, late,
# worlds, controls, official (once, at the end).
# A rerun skips what is measured. By environment: SUITES, TASKS, INITS (of every part; INITS=0 tries it), WORKERS.
set -euo pipefail
checkpoint=$1 out=$2
suites=${SUITES:-libero_object libero_spatial libero_goal} tasks=${TASKS:-all}
workers=${WORKERS:-$(env -u OMP_NUM_THREADS nproc)}

evaluate() { # NAME INITS OPTIONS...
  local suite file
  for suite in $suites; do
    file=$out/$1_$suite.json
    [ -e "$file" ] || asyncvla eval libero --checkpoint "$checkpoint" --suite "$suite" --tasks "$tasks" \
      --inits "${INITS:-$2}" --workers "$workers" --json "$file" "${@:3}"
  done
}
# Random placements: official ones unless said otherwise, whose seeds no collection has.
choose() { evaluate "$1" "$2" --random-placements --rendering decimated --seed 100 "${@:3}"; }
examine() { evaluate "$1" "$2" --random-placements --rendering decimated --seed 200 "${@:3}"; }

# 300 pairs with an answer at once, 120 with one that is late; what costs most has half as many.
choices() {
  local late steps where
  for late in "" _late; do
    where=(0-9 --placement free)
    [ -z "$late" ] || where=(0-3 --placement exchanged --delay 4 --handover commit)
    for steps in 1 2 5; do
      choose "choices/steps_$steps$late" "${where[@]}" --mode sfm --denoise-steps "$steps"
    done
    choose "choices/mean_of_4$late" "${where[@]}" --mode sfm --denoise-steps 1 --best-of 4 --choose mean
    choose "choices/mean_of_2$late" "${where[@]}" --mode sfm --denoise-steps 2 --best-of 2 --choose mean
  done
  where=(0-4 --placement free)
  choose choices/medoid_of_4 "${where[@]}" --mode sfm --denoise-steps 2 --best-of 4 --choose medoid
  choose choices/refined "${where[@]}" --mode afm --denoise-steps 2 --refine-steps 2
}
# From here on with the strategy of the checkpoint, but for what is said.
handovers() {
  for handover in switch ensemble guided commit keep keep_random keep_all; do
    choose "handovers/$handover" 0-4 --delay 4 --handover "$handover"
  done
  choose handovers/guided_full 0-4 --delay 4 --handover guided --jacobian full
  choose handovers/coherent 0-4 --delay 4 --handover switch --best-of 4 --choose coherent
  choose handovers/medoid 0-4 --delay 4 --handover switch --best-of 4 --choose medoid
}
places() {
  examine places/exchanged 0-9 --placement exchanged
  examine places/free 0-9 --placement free
}
# The default beside naive switching from one draft to the next.
late() {
  local delay inits
  examine late/default_0 0-19
  for delay in 4 2 8; do
    inits=0-19
    case $delay in 2 | 8) inits=0-9 ;; esac
    examine "late/default_$delay" "$inits" --delay "$delay"
    examine "late/switch_$delay" "$inits" --delay "$delay" --best-of 1 --handover switch
  done
}
worlds() {
  local world
  for world in jump drift kicks; do
    suites=libero_object examine "worlds/${world}_default" 0-4 --world "$world" --delay 4
    suites=libero_object examine "worlds/${world}_switch" 0-4 --world "$world" --delay 4 --best-of 1 --handover switch
  done
}
controls() {
  examine controls/blank 0-1 --blank-images
  examine controls/wrong_instruction 0-2 --wrong-instruction
}
official() { evaluate official 10-29; }

for part in "${@:3}"; do
  "$part"
done
asyncvla report "$out"
