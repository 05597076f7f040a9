#!/bin/sh
# Works on a disk whose writes qemu records: imports, pushes to a registry in the guest's memory, pulls, unpacks, creates, commits, deletes, for
# as many rounds as the argument says. What it has been told goes into a ledger behind the filesystem (tests/vm/flushes/ledger.py), past every
# cache, so that the record of writes says what had been promised at each moment.
. /root/cases_lib.sh
rounds=${1:-2}
ledger=$(cat /root/flushes/ledger_block)
record=0
worker=main
mark() {
  printf '%-4095s\n' "$(cut -d' ' -f1 /proc/uptime) $*" >/tmp/record-$worker
  dd if=/tmp/record-$worker of=/dev/vda bs=4096 seek=$((ledger + record)) count=1 oflag=direct conv=notrunc 2>/tmp/dd-$worker ||
    fail "the ledger cannot be written: $(cat /tmp/dd-$worker)"
  record=$((record + 1))
}
fail() { echo "flushes: $*"; tail -n 20 /mnt/log; echo "0 passed, 1 failed, 0 skipped"; poweroff -f; }
must() { "$@" >/tmp/out-$worker 2>&1 || fail "$* fails: $(cat /tmp/out-$worker)"; }
# changed KIND NAME STATE WORD COMMAND...: runs it between two records.
changed() {
  kind=$1 name=$2 state=$3 word=$4; shift 4
  mark begin "$kind" "$name"
  must "$@"
  mark "done" "$kind" "$name" "$state" "$word"
}
for module in /modules/power/*.ko; do insmod "$module"; done
wait_for 20 test -b /dev/vda || fail "no disk"
mkdir -p /mnt /run/berth /run/registry
mount -t ext4 /dev/vda /mnt || fail "the disk cannot be mounted"
docker-registry serve /root/flushes/registry.yml >/run/registry/log 2>&1 &
export BERTH_ADDRESS=/run/berth/berth.sock BERTH_NAMESPACE=flushes
berthd --root /mnt/root --state /run/berth --address $BERTH_ADDRESS >/mnt/log 2>&1 &
wait_for 60 berth version || fail "berthd does not start"
wait_for 60 wget -q -O /dev/null http://127.0.0.1:5000/v2/ || fail "the registry does not start: $(cat /run/registry/log)"
read -r chain </root/flushes/chain
# Works beside the main one, on objects of its own, so that flushes of the one fall into the middle of the other's work.
beside() {
  worker=beside
  ledger=$((ledger + 4096))
  number=0
  while [ ! -e /tmp/enough ]; do
    number=$((number + 1))
    changed lease l$number present - berth lease create --id l$number
    changed namespace n$number present - berth namespace create n$number
    changed image three:latest present "$(cat /root/flushes/three.id)" berth --snapshotter native image load -q -i /root/flushes/three.tar
    if [ $number -gt 1 ]; then
      changed lease l$((number - 1)) absent - berth lease rm l$((number - 1))
      changed namespace n$((number - 1)) absent - berth namespace rm n$((number - 1))
    fi
    changed image three:latest absent - berth rmi three
  done
}
beside &
beside=$!
echo "flushes: working"
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  for image in one two; do
    id=$(cat /root/flushes/$image.id) remote=127.0.0.1:5000/$image:r$round
    changed image $image:latest present "$id" berth image load -q -i /root/flushes/$image.tar
    changed image "$remote" present "$id" berth tag $image "$remote"
    must berth push -q --plain-http "$remote"
  done
  # Nothing but the names is left behind for one of them; the other's blobs are shared with what stays.
  changed image 127.0.0.1:5000/one:r$round absent - berth rmi --sync 127.0.0.1:5000/one:r$round
  changed image one:latest absent - berth rmi --sync one:latest
  changed image 127.0.0.1:5000/one:r$round present "$(cat /root/flushes/one.id)" berth pull -q --plain-http 127.0.0.1:5000/one:r$round
  changed image two:latest absent - berth rmi two:latest
  # The image's files of that directory are copied into the volume.
  changed volume v$round present - berth volume create v$round
  changed container c$round present - berth create --name c$round -v v$round:/data0 127.0.0.1:5000/one:r$round sh -c "echo $round; echo $round >/file"
  must berth start -a c$round
  head -c 300000 /dev/urandom >/tmp/blob
  blob=sha256:$(sha256sum /tmp/blob | cut -d' ' -f1)
  changed blob "$blob" present - berth content ingest -l containerd.io/gc.root=1 r$round /tmp/blob
  must berth snapshot prepare work$round "$chain"
  must sh -c "echo $round >\$(berth snapshot mounts / work$round | grep -o 'upperdir=[^, ]*' | cut -d= -f2)/word"
  changed snapshot base$round present "$round" berth snapshot commit base$round work$round
  must berth snapshot label base$round containerd.io/gc.root=1
  if [ $round -gt 1 ]; then
    old=$((round - 1))
    changed blob "$last" absent - berth content rm "$last"
    changed container c$old absent - berth rm c$old
    changed volume v$old absent - berth volume rm v$old
    changed snapshot base$old absent - berth snapshot rm base$old
    changed image 127.0.0.1:5000/two:r$old absent - berth rmi --sync 127.0.0.1:5000/two:r$old
  fi
  changed image 127.0.0.1:5000/two:r$round absent - berth rmi --sync 127.0.0.1:5000/two:r$round
  changed image 127.0.0.1:5000/two:r$round present "$(cat /root/flushes/two.id)" berth pull -q --plain-http --no-unpack 127.0.0.1:5000/two:r$round
  must berth image unpack 127.0.0.1:5000/two:r$round
  last=$blob
  mark tick - -
  echo "flushes: round $round"
done
: >/tmp/enough
wait $beside
# What is promised within a second.
sleep 2
sync
mark tick - -
# The log of the writes ends with its last flush.
umount /mnt 2>/dev/null || sync
echo "1 passed, 0 failed, 0 skipped"
