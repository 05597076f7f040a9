// What callers read of a failure: a line on standard error, and one in the file that --log names,
// in the form that --log-format asks for. With --debug, more than failures.
//
// Immutable, thread-compatible. Owned by main.
#ifndef BERTH_SHIM_OCI_LOG_H_
#define BERTH_SHIM_OCI_LOG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "shim/launch/container.h"

namespace berth::oci {

enum class LogForm { kText, kJson };
enum class LogDepth { kErrors, kDebug };

class Log {
 public:
  // An empty `path`: standard error only.
  Log(std::string path, LogForm form, LogDepth depth)
      : path_(std::move(path)), form_(form), depth_(depth) {}

  void Error(absl::string_view message) const;
  // Errors: as errno, where the file cannot be written.
  absl::Status Check() const;
  // Goes to the file, or to standard error where there is none.
  void Debug(absl::string_view message) const;
  // Where the time of `operation` went, step by step.
  void Latency(absl::string_view operation, const std::vector<launch::StepTime>& steps) const;

 private:
  std::string Line(absl::string_view level, absl::string_view message) const;
  bool Append(const std::string& line) const;

  const std::string path_;
  const LogForm form_;
  const LogDepth depth_;
};

}  // namespace berth::oci

#endif  // BERTH_SHIM_OCI_LOG_H_
