# The container tests of the build, on cgroup v2 only: each program's own verdicts are counted.
. /root/cases_lib.sh
cd /opt/tests || exit 1
some='*StartsWithinOneMebibyte*:*ReportsAnOomKill*:*AllowsOnlyListedDevices*:*LimitsOnV2*:*LeavesNothingBehind*'
some=$some:'*ExecsIntoEveryNamespace*:*PausesResumes*:*UserNamespaceMaps*:*SharedRootKeeps*:*LivesOnAPureV2*:*OverlayOfManyLayers*'
some=$some:'*SetsEveryV2Limit*:*AWritableV2Group*:*RulesHoldForEachListedArchitecture*:*RunsUnderEvery*:*TakenByTheKernel*:*Overwritten*'
some=$some:'*RunsAllHooks*:*MovesIntoTheContainer*:*RecursiveAttributes*:*GoesThroughTheWholeLifecycle*:*IdMaps*'
some=$some:'*AWaitInFlight*:*APausedContainerStays*:*ExecsThatRunAndThatEnded*:*EachRestartIsAGeneration*'
[ "$1" = all ] && some='*'
for program in *_test; do
  ./$program --gtest_filter="$some" >/tmp/$program.log 2>&1
  code=$?
  ok=$(grep -c '^\[       OK \]' /tmp/$program.log)
  bad=$(grep -c '^\[  FAILED  \].*ms)$' /tmp/$program.log)
  skip=$(grep -c '^\[  SKIPPED \].*ms)$' /tmp/$program.log)
  # A program that dies in the middle has a failed test that says nothing.
  [ $code -eq 0 ] || [ $bad -gt 0 ] || bad=1
  echo "$program: $ok ok, $bad failed, $skip skipped"
  [ $code -eq 0 ] || grep -v '^\[ RUN\|^\[       OK' /tmp/$program.log | tail -n 60
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done
echo "$passed passed, $failed failed, $skipped skipped"
