#!/bin/sh
# Runs on a disk that outlives the machine: says whether what is stored is as recorded, then loads, creates, commits and
# deletes until the power goes. With "check" as its argument it only says so, and ends.
. /root/cases_lib.sh
for module in /modules/power/*.ko; do insmod "$module"; done
wait_for 20 test -b /dev/vda || { echo "power: no disk"; exit 1; }
mkdir -p /disk /run/berth
mount -t ext4 /dev/vda /disk || { echo "power: the disk cannot be mounted"; exit 1; }
berthd --root /disk/root --state /run/berth --address /run/berth/berth.sock >/disk/log 2>&1 &
export BERTH_ADDRESS=/run/berth/berth.sock
if ! wait_for 60 berth version; then
  echo "power: berthd does not start"
  tail -n 20 /disk/log
  exit 1
fi
# Nothing is repaired by hand, or by this.
berth fsck --report-only >/tmp/fsck 2>&1
code=$?
grep -v '^ok ' /tmp/fsck
echo "power: fsck $code: $(tail -n 1 /tmp/fsck)"
[ $code = 0 ] || exit 1
# What a cut left half made is usable or gone.
for id in $(berth ps -aq); do berth rm -f "$id" >/tmp/rm 2>&1 || { echo "power: $id cannot be removed"; cat /tmp/rm; exit 1; }; done
if berth image ls 2>/dev/null | grep -q busybox; then
  out=$(berth run --rm busybox echo alive 2>&1)
  [ "$out" = alive ] || { echo "power: a stored image does not run: $out"; exit 1; }
fi
[ "$1" = check ] && { echo "power: checked"; exit 0; }
echo "power: working"
round=0
while :; do
  round=$((round + 1))
  berth image load -q -i /root/busybox.tar >/tmp/out 2>&1 || { echo "power: load fails"; cat /tmp/out; exit 1; }
  berth create --name "c$round" busybox sh -c "echo $round >/file" >/tmp/out 2>&1 || { echo "power: create fails"; cat /tmp/out; exit 1; }
  berth start -a "c$round" >/tmp/out 2>&1 || { echo "power: start fails"; cat /tmp/out; exit 1; }
  [ $((round % 2)) = 1 ] || berth rm "c$round" "c$((round - 1))" >/tmp/out 2>&1 || { echo "power: rm fails"; cat /tmp/out; exit 1; }
  [ $((round % 4)) != 0 ] || berth rmi busybox >/tmp/out 2>&1 || { echo "power: rmi fails"; cat /tmp/out; exit 1; }
  echo "power: round $round"
done
