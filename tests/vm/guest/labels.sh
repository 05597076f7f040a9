# The labels of a security module where the kernel has one: berth.mode=apparmor or berth.mode=selinux. What a process is under is
# asked of the process itself, and that it holds is shown by a write that it denies.
. /root/cases_lib.sh
bundle=/tmp/bundle
LABELS=/root/labels
runtime() { berth-runtime --root /run/rt "$@"; }

# configure PROCESS LINUX COMMAND...: JSON members, each with its comma behind it, and the program.
configure() {
  process=$1 linux=$2; shift 2
  args=
  for word in "$@"; do args="$args,\"$word\""; done
  cat >$bundle/config.json <<J
{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{$process"cwd":"/","env":["PATH=/bin"],"args":[${args#,}]},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/tmp","type":"tmpfs","source":"tmp"}$more_mounts],
"linux":{$linux"resources":{},"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"ipc"}]}}
J
}
run() { runtime run -b $bundle "c$$" </dev/null 2>&1; }
# Whether the last output has a line like that, which is shown otherwise.
says() { grep -q -e "$1" /tmp/out || { echo "    no \"$1\" in:"; cat /tmp/out; return 1; }; }
start() { runtime run -d -b $bundle "$1" </dev/null >/tmp/start 2>&1 || { cat /tmp/start; return 1; }; }

case_apparmor_is_in_the_kernel() { [ "$(cat /sys/module/apparmor/parameters/enabled)" = Y ] && [ -d /sys/kernel/security/apparmor ]; }
case_a_profile_is_loaded() {
  apparmor_parser -K -r $LABELS/berth.profile && grep -q '^berth-test (enforce)$' /sys/kernel/security/apparmor/profiles
}
case_init_is_under_its_profile() {
  configure '"apparmorProfile":"berth-test",' '' cat /proc/self/attr/current
  same "$(run)" "berth-test (enforce)"
}
case_the_profile_holds() {
  configure '"apparmorProfile":"berth-test",' '' sh -c 'echo x >/tmp/free && echo written; echo x >/secret/file'
  run >/tmp/out
  says '^written$' && says "/secret/file: Permission denied"
}
case_without_a_profile_it_is_unconfined() {
  configure '' '' sh -c 'cat /proc/self/attr/current; echo x >/secret/file && echo written'
  same "$(run | tr '\n' ' ')" "unconfined written " || return 1
  configure '"apparmorProfile":"unconfined",' '' cat /proc/self/attr/current
  same "$(run)" unconfined
}
case_no_new_privileges_keep_the_profile() {
  configure '"apparmorProfile":"berth-test","noNewPrivileges":true,' '' cat /proc/self/attr/current
  same "$(run)" "berth-test (enforce)"
}
case_execs_have_the_containers_profile_or_their_own() {
  configure '"apparmorProfile":"berth-test",' '' sleep 1000
  start web || return 1
  same "$(cat "/proc/$(runtime state web | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')/attr/current")" "berth-test (enforce)" &&
    same "$(runtime exec web cat /proc/self/attr/current)" "berth-test (enforce)" &&
    same "$(runtime exec --apparmor berth-exec web cat /proc/self/attr/current)" "berth-exec (enforce)" &&
    runtime exec web sh -c 'echo x >/tmp/free' &&
    ! runtime exec --apparmor berth-exec web sh -c 'echo x >/tmp/free' 2>/tmp/out && grep -q 'Permission denied' /tmp/out
  result=$?
  runtime delete -f web
  return $result
}
case_a_profile_that_is_not_loaded_is_named() {
  configure '"apparmorProfile":"nobody-loaded-me",' '' true
  run >/tmp/out && return 1
  says 'AppArmor profile "nobody-loaded-me"'
}
case_the_engine_passes_it_on() {
  berthd >>/tmp/berthd.log 2>&1 &
  daemon=$!
  wait_for 30 berth version && berth image load -i /root/busybox.tar >/dev/null &&
    same "$(berth run --rm --security-opt apparmor=berth-test busybox cat /proc/self/attr/current)" "berth-test (enforce)"
  result=$?
  kill $daemon; wait $daemon
  return $result
}

case_selinux_takes_a_policy() {
  mount -t selinuxfs selinux /sys/fs/selinux && cat $LABELS/berth.policy >/sys/fs/selinux/load && echo 1 >/sys/fs/selinux/enforce &&
    same "$(cat /sys/fs/selinux/enforce)" 1 && same "$(tr -d '\0' </proc/self/attr/current)" u:r:kernel_t:s0
}
case_init_has_its_label() {
  configure '"selinuxLabel":"u:r:container_t:s0",' '' cat /proc/self/attr/current
  same "$(run | tr -d '\0')" u:r:container_t:s0
}
case_execs_have_the_containers_label_or_their_own() {
  configure '"selinuxLabel":"u:r:container_t:s0",' '' sleep 1000
  start web || return 1
  same "$(runtime exec web cat /proc/self/attr/current | tr -d '\0')" u:r:container_t:s0 &&
    same "$(runtime exec --process-label u:r:exec_t:s0 web cat /proc/self/attr/current | tr -d '\0')" u:r:exec_t:s0
  result=$?
  runtime delete -f web
  return $result
}
case_the_mount_label_is_on_filesystems_of_the_containers_own() {
  configure '"selinuxLabel":"u:r:container_t:s0",' '"mountLabel":"u:object_r:container_file_t:s0",' \
    sh -c 'grep /tmp /proc/mounts; echo x >/tmp/free && echo written'
  run >/tmp/out
  says '/tmp tmpfs .*context=.*u:object_r:container_file_t:s0' && says '^written$'
}
case_the_label_holds() {
  # A file that the policy lets nobody but the host write.
  more_mounts=',{"destination":"/secret","type":"tmpfs","source":"s","options":["context=u:object_r:secret_t:s0"]}'
  configure '"selinuxLabel":"u:r:container_t:s0",' '' sh -c 'touch /secret/file; echo x >/secret/file; echo x >/tmp/free && echo written'
  run >/tmp/out
  configure '' '' sh -c 'echo x >/secret/file && echo unlabelled'
  run >>/tmp/out
  more_mounts=
  says '^written$' && says '^unlabelled$' && says "/secret/file: Permission denied"
}
case_masks_have_the_mount_label() {
  configure '"selinuxLabel":"u:r:container_t:s0",' '"mountLabel":"u:object_r:container_file_t:s0","maskedPaths":["/secret"],' \
    grep ' /secret ' /proc/mounts
  run | grep -q 'context=u:object_r:container_file_t:s0'
}
case_a_label_that_the_policy_lacks_is_named() {
  configure '"selinuxLabel":"u:r:nobody_t:s0",' '' true
  run >/tmp/out && return 1
  says 'SELinux label "u:r:nobody_t:s0"' || return 1
  configure '' '"mountLabel":"u:object_r:nobody_t:s0",' true
  run >/tmp/out && return 1
  says nobody_t
}

mkdir -p $bundle/rootfs/bin $bundle/rootfs/proc $bundle/rootfs/dev $bundle/rootfs/secret $bundle/rootfs/tmp
cp /bin/busybox $bundle/rootfs/bin/
for applet in sh sleep cat true grep touch; do ln -s busybox $bundle/rootfs/bin/$applet; done
more_mounts=
mount -t securityfs securityfs /sys/kernel/security
if [ "$1" = apparmor ]; then
  cases="apparmor_is_in_the_kernel a_profile_is_loaded init_is_under_its_profile the_profile_holds without_a_profile_it_is_unconfined
    no_new_privileges_keep_the_profile execs_have_the_containers_profile_or_their_own a_profile_that_is_not_loaded_is_named
    the_engine_passes_it_on"
else
  cases="selinux_takes_a_policy init_has_its_label execs_have_the_containers_label_or_their_own
    the_mount_label_is_on_filesystems_of_the_containers_own the_label_holds masks_have_the_mount_label
    a_label_that_the_policy_lacks_is_named"
fi
for name in $cases; do run_case "$name"; done
echo "$passed passed, $failed failed, $skipped skipped"
