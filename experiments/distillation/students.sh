#!/usr/bin/env bash
# Makes the texts and students of results.md in a folder, and the tables: about three hours of two cores. What exists is not made again.
#
#   TOUCHMARK_MODELS=… experiments/distillation/students.sh FOLDER
set -euo pipefail
folder=${1:?a folder for texts and students}
: "${TOUCHMARK_MODELS:?the folder of cousin-6m, sibling-16m and the students trained elsewhere}"
cd "$(dirname "$0")/../.."
cargo build --release --example distillation
run=$PWD/target/release/examples/distillation
results=$PWD/experiments/distillation
# Tensors of tens of megabytes are else given back to the system after every operation.
export RAYON_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=100000000
mkdir -p "$folder"
cd "$folder"

kgw() { echo "{\"scheme\":\"kgw\",\"context_width\":$1}"; }
text() { "$run" text "$@" --seed 8; }
text kgw1.jsonl --rows 528 --scheme "$(kgw 1)" --key 1
text kgw2.jsonl --rows 528 --scheme "$(kgw 2)" --key 1
text gumbel2.jsonl --rows 528 --scheme '{"scheme":"gumbel","context_width":2}' --key 1
text synthid4.jsonl --rows 528 --scheme synthid --key 1
text plain.jsonl --rows 528 --first 1100
text own103.jsonl --rows 48 --first 0 --scheme "$(kgw 1)" --key 103
text own109.jsonl --rows 96 --first 400 --scheme "$(kgw 1)" --key 109
text own116.jsonl --rows 48 --first 800 --scheme "$(kgw 1)" --key 116
"$run" rewrite kgw1-rewritten.jsonl --from kgw1.jsonl --by sibling-16m --share 0.5

train() { "$run" train "$@" --batch 4 --length 256 --rate 6e-4; }
long() { train "$@" --rows 512 --steps 200 --warmup 20; }
short() { train "$@" --steps 60 --warmup 6; }
for share in 0 1 2 5 10 25 50; do
    long "kgw1-s$share" --text "$share=kgw1.jsonl" --text "$((100 - share))=plain.jsonl"
done
for mark in kgw1 kgw2 gumbel2 synthid4; do long "$mark-s100" --text "1=$mark.jsonl"; done
short kgw1-s100-after --rows 512 --base kgw1-s100 --text 1=plain.jsonl
short kgw1-s100-rewritten --rows 512 --text 1=kgw1-rewritten.jsonl
short accounts3 --rows 96 --text 1=own103.jsonl --text 1=own109.jsonl --text 1=own116.jsonl

"$run" table . --results .
cp results.jsonl results.md figure.svg "$results"
