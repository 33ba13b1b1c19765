#!/bin/bash
# Runs the program as a SageMaker Processing job. $1: S3 URI of the splits, ending in the partition; further arguments: options.
set -euo pipefail
cd /opt/ml/processing/input/code
python3 -m pip install --quiet --disable-pip-version-check -r preprocessing/requirements.txt
uri="$1"
shift
output=/opt/ml/processing/output
python3 -m preprocessing local --partition "${uri##*/}" --raw /opt/ml/processing/input/raw --output "$output" \
    --previous /opt/ml/processing/input/previous/previous.json "$@" &
trap 'kill -TERM $!' TERM
wait $!
# Each output of a job is a folder, so the manifest needs its own.
mkdir -p "$output/manifest"
mv "$output/manifest.json" "$output/manifest/"
