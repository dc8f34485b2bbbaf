#!/usr/bin/env bash
# Measures a policy of the full size on this machine: an inference by each engine, and training steps.
#   tools/measure_full_size.sh DATA OUT [DEVICE [SIZE]]
# DATA: a LeRobot v3 dataset or a data.yaml. OUT: folder for JSON files and a checkpoint of random weights.
# DEVICE: cuda (default) or cpu. SIZE: 3b (default) or tiny, to try the script itself.
set -euo pipefail
data=$1 out=$2 device=${3:-cuda} size=${4:-3b}
mkdir -p "$out"
engines="plain compiled"
[ "$device" = cuda ] && engines="$engines graph"
for engine in $engines; do
  asyncvla bench policy --size "$size" --random --device "$device" --engine "$engine" --repetitions 50 \
    --no-recompute --json "$out/decision_$engine.json"
done
asyncvla bench policy --size "$size" --random --device "$device" --engine plain --repetitions 5 \
  --json "$out/recomputed.json"
asyncvla init --size "$size" --random --data "$data" --action-space joint_position --out "$out/start"
# The largest batch that fits, by doubling: a run that does not fit ends with an error.
for batch in 8 16 32 64 128 256; do
  rm -rf "$out/run_$batch"
  asyncvla train --data "$data" --action-space joint_position --init "$out/start" --out "$out/run_$batch" \
    --batch "$batch" --steps 3 --log-every 1 --save-every 1000 --checkpointing --ema 0 --optimizer adamw8bit \
    --holdout 0 --processes 1 --decode stream || break
  rm -rf "$out/run_$batch/state" "$out/run_$batch"/model*
done
grep -H . "$out"/run_*/log.jsonl
