#!/bin/bash
# The program as a SageMaker Processing job. $1: the S3 URI of the splits; it ends in the partition. More: options.
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
# An output of a job is a folder: the manifest gets one of its own.
mkdir -p "$output/manifest"
mv "$output/manifest.json" "$output/manifest/"
