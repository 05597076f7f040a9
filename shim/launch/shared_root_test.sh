#!/usr/bin/env bash
# The container tests once more where "/" is a shared mount, as systemd makes it: they pass as well, and the table of the namespace
# that shares its mounts with theirs is afterwards what it was before. Needs root and real cgroups.
#
#   shared_root_test.sh TEST_PROGRAM...
set -euo pipefail
if [[ -z ${BERTH_TEST_SHARED_ROOT:-} ]]; then
  export BERTH_TEST_SHARED_ROOT=1
  exec unshare -m --propagation private "$0" "$@"
fi
mount --make-rshared /
# What others have mounted goes here too when they remove its place.
table() { awk '$5 !~ /^\/(tmp|run|var)\// || $5 ~ /runtime-test-/ { print $5, $6 }' /proc/self/mountinfo | sort; }
before=$(table)
for program in "$@"; do
  "$program"
  after=$(table)
  if [[ $after != "$before" ]]; then
    echo "$program changed the mounts of the namespace around it:"
    diff <(echo "$before") <(echo "$after") || true
    exit 1
  fi
done
