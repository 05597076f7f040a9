// BERTH_CHECK: a broken invariant ends the process with file, line and reason. For our own mistakes
// only; what the environment does wrong is an absl::Status.
#ifndef BERTH_BASE_STATUS_CHECK_H_
#define BERTH_BASE_STATUS_CHECK_H_

namespace berth {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}  // namespace berth

#define BERTH_CHECK(condition) \
  ((condition) ? (void)0 : ::berth::CheckFailed(__FILE__, __LINE__, #condition))

#endif  // BERTH_BASE_STATUS_CHECK_H_
