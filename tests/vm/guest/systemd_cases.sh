# The systemd cgroup driver where systemd is the first program: what it makes of a container is asked of systemd itself.
export PATH=/opt/berth:/bin:/sbin:/usr/bin
. /root/cases_lib.sh
CG=/sys/fs/cgroup
bundle=/tmp/bundle
runtime() { berth-runtime --systemd-cgroup --root /run/rt "$@"; }
property() { systemctl show "$1" -p "$2" | cut -d= -f2; }

# configure CGROUPS_PATH RESOURCES NAMESPACES COMMAND...
configure() {
  path=$1 resources=$2 more=$3; shift 3
  args=
  for word in "$@"; do args="$args,\"$word\""; done
  cat >$bundle/config.json <<J
{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"cwd":"/","env":["PATH=/bin"],"args":[${args#,}]},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"linux":{"cgroupsPath":"$path","resources":{$resources},$more
"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"network"},{"type":"ipc"}]}}
J
}

case_systemd_is_the_first_program() {
  same "$(cat /proc/1/comm)" systemd && [ -e /run/systemd/system ] && [ -e $CG/cgroup.controllers ]
}
case_a_container_is_a_scope_with_its_limits() {
  configure system.slice:berth:web '"memory":{"limit":67108864},"pids":{"limit":40},"cpu":{"quota":50000,"period":100000}' '' sleep 1000
  runtime run -d -b $bundle web </dev/null >/tmp/out 2>&1 || { cat /tmp/out; return 1; }
  pid=$(runtime state web | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
  same "$(cat /proc/$pid/cgroup)" "0::/system.slice/berth-web.scope" &&
    same "$(property berth-web.scope ActiveState)" active &&
    same "$(property berth-web.scope Delegate)" yes &&
    same "$(property berth-web.scope MemoryMax)" 67108864 &&
    same "$(property berth-web.scope TasksMax)" 40 &&
    same "$(property berth-web.scope CPUQuotaPerSecUSec)" 500ms &&
    same "$(cat $CG/system.slice/berth-web.scope/memory.max)" 67108864 &&
    same "$(cat $CG/system.slice/berth-web.scope/cpu.max)" "50000 100000"
}
case_limits_outlive_a_reload_of_systemd() {
  systemctl daemon-reload && same "$(cat $CG/system.slice/berth-web.scope/memory.max)" 67108864
}
case_exec_pause_and_update_work_in_a_scope() {
  same "$(runtime exec web cat /proc/self/cgroup)" "0::/system.slice/berth-web.scope" || return 1
  runtime pause web && grep -q 'frozen 1' $CG/system.slice/berth-web.scope/cgroup.events && runtime resume web || return 1
  runtime update --pids-limit 30 web && same "$(cat $CG/system.slice/berth-web.scope/pids.max)" 30
}
case_the_scope_goes_with_the_container() {
  runtime delete -f web && wait_for 10 sh -c "[ ! -e $CG/system.slice/berth-web.scope ]" &&
    wait_for 10 sh -c 'systemctl show berth-web.scope -p LoadState | grep -q not-found'
}
case_a_nested_slice_is_made() {
  configure machine-a.slice:docker:x '' '' cat /proc/self/cgroup
  same "$(runtime run -b $bundle x </dev/null)" "0::/machine.slice/machine-a.slice/docker-x.scope"
}
case_no_path_means_the_system_slice() {
  configure '' '' '' cat /proc/self/cgroup
  same "$(runtime run -b $bundle plain </dev/null)" "0::/system.slice/berth-plain.scope"
}
case_devices_are_filtered_in_a_scope() {
  configure system.slice:berth:dev '"devices":[{"allow":false,"access":"rwm"}]' '' \
    sh -c 'mknod /tmp-kmsg c 1 11 && ! head -c 1 /tmp-kmsg; rm -f /tmp-kmsg; head -c 3 /dev/zero | wc -c'
  runtime run -b $bundle dev </dev/null >/tmp/out 2>&1
  grep -q 'Operation not permitted' /tmp/out && grep -q '^3$' /tmp/out
}
case_a_user_namespace_in_a_scope() {
  configure system.slice:berth:user '' \
    '"uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":100000,"size":65536}],' \
    cat /proc/self/cgroup
  sed -i 's/{"type":"ipc"}/{"type":"ipc"},{"type":"user"}/' $bundle/config.json
  same "$(runtime run -b $bundle user </dev/null)" "0::/system.slice/berth-user.scope"
}
case_a_bad_path_is_explained() {
  configure /not/a/triple '' '' true
  runtime run -b $bundle bad </dev/null 2>&1 | grep -q 'slice:prefix:name'
}
case_nothing_is_left() {
  wait_for 10 sh -c "[ -z \"\$(find $CG -name '*.scope' ! -name init.scope)\" ]" && same "$(runtime list -q)" "" &&
    same "$(systemctl list-units --all --no-legend '*.scope' | grep -c -e berth -e docker)" 0
}

mkdir -p $bundle/rootfs/bin $bundle/rootfs/proc $bundle/rootfs/dev
cp /bin/busybox $bundle/rootfs/bin/
for applet in sh sleep cat true mknod head wc rm; do ln -s busybox $bundle/rootfs/bin/$applet; done
for name in systemd_is_the_first_program a_container_is_a_scope_with_its_limits limits_outlive_a_reload_of_systemd \
            exec_pause_and_update_work_in_a_scope the_scope_goes_with_the_container a_nested_slice_is_made \
            no_path_means_the_system_slice devices_are_filtered_in_a_scope a_user_namespace_in_a_scope a_bad_path_is_explained \
            nothing_is_left; do
  run_case $name
done
echo "$passed passed, $failed failed, $skipped skipped"
/bin/busybox poweroff -f
