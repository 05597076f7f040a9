# What the guest's case files share: counting, and two checks.
passed=0 failed=0 skipped=0

wait_for() { # wait_for SECONDS COMMAND...
  left=$(($1 * 10)); shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ $left -gt 0 ] || return 1
    sleep 0.1
  done
}
same() { [ "$1" = "$2" ] || { echo "    expected \"$2\", got \"$1\""; return 1; }; }

# Runs case_NAME; what it prints is shown when it fails, with the end of the file $2.
run_case() {
  began=$(cut -d. -f1 /proc/uptime)
  if "case_$1" >/tmp/case.log 2>&1; then
    passed=$((passed + 1)); verdict=ok
  else
    failed=$((failed + 1)); verdict=FAILED
  fi
  echo "$1: $verdict ($(($(cut -d. -f1 /proc/uptime) - began)) s)"
  [ $verdict = ok ] || { cat /tmp/case.log; [ -z "$2" ] || tail -n 15 "$2"; }
}
