# The guest's cases: what the build machine cannot give, which is cgroup v2 and the oldest supported kernel.
# Each case is a function case_NAME; it passes when its last command succeeds.
. /root/cases_lib.sh
export BERTH_ADDRESS=/run/berth/berth.sock
CG=/sys/fs/cgroup

init_of() { berth inspect --format '{{.State.Pid}}' "$1"; }
cgroup_of() { sed -n 's/^0:://p' "/proc/$(init_of "$1")/cgroup"; }

case_kernel_and_cgroup() {
  uname -r | grep -q '^6\.1\.' && [ -e $CG/cgroup.controllers ] && ! grep -q "cgroup cgroup " /proc/mounts
}
case_run_prints_and_exits() {
  same "$(berth run --rm busybox echo hi there)" "hi there" || return 1
  berth run --rm busybox sh -c 'exit 42'
  same $? 42
}
case_memory_limit() {
  berth run -d --name mem --memory 64m busybox sleep 1000 >/dev/null || return 1
  same "$(cat "$CG$(cgroup_of mem)/memory.max")" 67108864
}
case_cpus() {
  berth run -d --name cpu --cpus 0.5 busybox sleep 1000 >/dev/null || return 1
  same "$(cat "$CG$(cgroup_of cpu)/cpu.max")" "50000 100000"
}
case_pause_and_resume() {
  berth run -d --name still busybox sleep 1000 >/dev/null || return 1
  cg=$CG$(cgroup_of still)
  berth pause still && grep -q 'frozen 1' "$cg/cgroup.events" || return 1
  berth unpause still && grep -q 'frozen 0' "$cg/cgroup.events"
}
case_devices_are_denied() {
  berth run --rm busybox sh -c 'mknod /tmp/kmsg c 1 11 && ! head -c 1 /tmp/kmsg' 2>&1 | grep -q 'Operation not permitted'
}
case_default_devices_work() {
  same "$(berth run --rm busybox sh -c 'head -c 3 /dev/zero | wc -c; echo x > /dev/null && echo ok' | tr '\n' ' ')" "3 ok "
}
case_exec_is_in_the_cgroup() {
  berth run -d --name ex busybox sleep 1000 >/dev/null || return 1
  berth exec ex sleep 500 &
  wait_for 10 sh -c "[ \$(wc -l < $CG$(cgroup_of ex)/cgroup.procs) -eq 2 ]"
}
case_metrics() {
  berth task metrics ex | grep -qi memory
}
case_oom_is_an_event_and_137() {
  berth run --rm --memory 16m busybox sh -c 'tail /dev/zero'
  same $? 137
}
case_kill_nine_of_the_daemon() {
  pid=$(cat /run/berthd.pid)
  kill -9 "$pid"
  wait "$pid" 2>/dev/null
  kill -0 "$(cat /tmp/init-of-ex)" || return 1
  start_daemon && same "$(berth exec ex echo still here)" "still here"
}
case_nothing_left() {
  for id in $(berth ps -a -q); do berth rm -f "$id" >/dev/null || return 1; done
  same "$(find $CG -mindepth 2 -type d -path '*default*' | wc -l)" 0 &&
    same "$(ps | grep -c '[b]erth-shim')" 0 && same "$(grep -c overlay /proc/mounts)" 0
}

start_daemon() {
  berthd >>/tmp/berthd.log 2>&1 &
  echo $! >/run/berthd.pid
  wait_for 30 berth version
}

start_daemon && berth image load -i /root/busybox.tar || { echo "no daemon:"; cat /tmp/berthd.log; }
for name in kernel_and_cgroup run_prints_and_exits memory_limit cpus pause_and_resume devices_are_denied default_devices_work \
            exec_is_in_the_cgroup metrics oom_is_an_event_and_137; do
  run_case $name /tmp/berthd.log
done
init_of ex >/tmp/init-of-ex
run_case kill_nine_of_the_daemon /tmp/berthd.log
run_case nothing_left /tmp/berthd.log
echo "$passed passed, $failed failed, $skipped skipped"
