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
# A user's own systemd, without a login: PAM and a bus are all that a login adds to it. What it runs is below its service, as in
# a session of the user's.
USER_ROOT=/system.slice/berth-user.service
setpriv_user() { /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 PATH="$PATH" "$@"; }
case_a_user_has_a_systemd_of_his_own() {
  mkdir -p /run/user/1000 && chown 1000:1000 /run/user/1000 && chmod 700 /run/user/1000
  systemctl start berth-user.service && wait_for 30 test -S /run/user/1000/systemd/private
}
rootless_bundle() {
  rm -rf /tmp/user; mkdir -p /tmp/user; cp -a $bundle/rootfs /tmp/user/; mkdir -p /tmp/user/rootfs/sys
  sed 's/"process":{/"process":{"user":{"uid":0,"gid":0},/; s/{"type":"network"}/{"type":"user"}/; s/"linux":{/"linux":{"uidMappings":[{"containerID":0,"hostID":1000,"size":1}],"gidMappings":[{"containerID":0,"hostID":1000,"size":1}],/' \
    $bundle/config.json >/tmp/user/config.json
  chown -R 1000:1000 /tmp/user
}
# A process of the user's, in a unit of his: asked to run the words of it.
in_session() {
  printf '%s\n' "export XDG_RUNTIME_DIR=/run/user/1000" "cd /tmp/user" "$*" "echo code \$?" >/run/user/1000/ask
  chmod 755 /run/user/1000/ask; rm -f /run/user/1000/answer
  setpriv_user systemctl --user start berth-ask.service >/tmp/ask.why 2>&1 || cat /tmp/ask.why
  cat /run/user/1000/answer
}
case_a_rootless_container_is_a_scope_of_the_users() {
  configure '' '"memory":{"limit":67108864},"pids":{"limit":40}' '' sleep 1000
  rootless_bundle
  in_session "berth-runtime --systemd-cgroup run -d web </dev/null >/dev/null 2>/run/user/1000/err; berth-runtime exec web cat /proc/self/cgroup" >/tmp/out
  grep -q "^code 0" /tmp/out || { cat /tmp/out /run/user/1000/err; return 1; }
  scope=$USER_ROOT/user.slice/berth-web.scope
  grep -qx "0::$scope" /tmp/out || { cat /tmp/out; return 1; }
  same "$(cat $CG$scope/memory.max)" 67108864 && same "$(cat $CG$scope/pids.max)" 40 &&
    same "$(setpriv_user systemctl --user show berth-web.scope -p MemoryMax | cut -d= -f2)" 67108864 &&
    same "$(stat -c %u $CG$scope)" 1000
}
case_a_rootless_scope_goes_with_its_container() {
  in_session "berth-runtime pause web && berth-runtime resume web && berth-runtime update --memory 32m web && berth-runtime delete -f web" >/tmp/out
  grep -q "^code 0" /tmp/out || { cat /tmp/out; return 1; }
  wait_for 10 sh -c "[ ! -e $CG$USER_ROOT/user.slice/berth-web.scope ]"
}
case_without_a_session_it_is_explained() {
  /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/tmp/none PATH="$PATH" \
    berth-runtime --root /tmp/user/state --systemd-cgroup run -b /tmp/user web </dev/null 2>&1 | grep -q 'no session of systemd'
}
case_a_delegated_group_holds_a_rootless_container() {
  # With the cgroupfs driver, in the group that the user's systemd has.
  configure '' '"memory":{"limit":67108864}' '' sh -c 'cat /proc/self/cgroup; exit 3'
  rootless_bundle
  in_session "berth-runtime run plain </dev/null" >/tmp/out
  grep -q '^code 3' /tmp/out && grep -q "^0::$USER_ROOT/.*/plain$" /tmp/out || { cat /tmp/out; return 1; }
}
case_newuidmap_maps_more_ids() {
  configure '' '' '' cat /proc/self/uid_map
  rootless_bundle
  sed -i 's/"size":1}\]/"size":1},{"containerID":1,"hostID":100000,"size":65536}]/g' /tmp/user/config.json
  in_session "berth-runtime run ids </dev/null 2>&1" >/tmp/out
  grep -q '^ *1 *100000 *65536' /tmp/out && grep -q '^code 0' /tmp/out || { cat /tmp/out; return 1; }
}
case_a_users_systemd_ends() { systemctl stop berth-user.service; wait_for 10 sh -c "[ ! -e $CG$USER_ROOT ]"; }
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
            a_user_has_a_systemd_of_his_own a_rootless_container_is_a_scope_of_the_users a_rootless_scope_goes_with_its_container \
            without_a_session_it_is_explained a_delegated_group_holds_a_rootless_container newuidmap_maps_more_ids a_users_systemd_ends \
            nothing_is_left; do
  run_case $name
done
echo "$passed passed, $failed failed, $skipped skipped"
/bin/busybox poweroff -f
