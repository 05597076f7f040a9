#include "shim/oci/log.h"

#include <fcntl.h>
#include <stdio.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"

namespace berth::oci {

std::string Log::Line(absl::string_view level, absl::string_view message) const {
  const std::string now = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  if (form_ == LogForm::kJson) {
    json::Writer writer;
    writer.BeginObject().Key("level").String(level).Key("msg").String(message);
    writer.Key("time").String(now);
    return writer.EndObject().Take() + "\n";
  }
  return absl::StrCat("time=\"", now, "\" level=", level, " msg=", json::Quote(message), "\n");
}

bool Log::Append(const std::string& line) const {
  if (path_.empty()) return false;
  absl::StatusOr<UniqueFd> file = OpenFile(path_, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file.ok()) WriteAll(*file, line).IgnoreError();  // there is nowhere left to tell
  return file.ok();
}

absl::Status Log::Check() const {
  if (path_.empty()) return absl::OkStatus();
  return OpenFile(path_, O_WRONLY | O_CREAT | O_APPEND, 0644).status();
}

void Log::Error(absl::string_view message) const {
  // Who asks for JSON without a file reads it from standard error.
  if (path_.empty() && form_ == LogForm::kJson) {
    ::fputs(Line("error", message).c_str(), stderr);
    return;
  }
  ::fprintf(stderr, "berth-runtime: %s\n", std::string(message).c_str());
  Append(Line("error", message));
}

void Log::Debug(absl::string_view message) const {
  if (depth_ != LogDepth::kDebug) return;
  const std::string line = Line("debug", message);
  if (!Append(line)) ::fputs(line.c_str(), stderr);
}

void Log::Latency(absl::string_view operation, const std::vector<launch::StepTime>& steps) const {
  if (depth_ != LogDepth::kDebug) return;
  std::string text = absl::StrCat(operation, " took, in ms:");
  for (const launch::StepTime& step : steps) {
    absl::StrAppendFormat(&text, " %s %.3f;", step.step,
                          static_cast<double>(step.nanoseconds) / 1e6);
  }
  if (text.back() == ';') text.pop_back();
  Debug(text);
}

}  // namespace berth::oci
