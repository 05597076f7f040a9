// The daemon's log: one line per event on stderr, with named fields instead of prose.
//
//   log.Warning("ignoring a snapshot that is in use", {{"namespace", ns}, {"error", status}});
//
// Text lines read `time="..." level=warning msg="..." namespace=default`, values quoted where they
// need it; JSON lines hold the same keys. A message never breaks its line, whatever bytes a value
// has. Library code returns a Status instead of logging; whoever decides not to pass it on logs it
// once. Fields in use: namespace, container, exec, step, duration, path, error. spdlog sits behind
// this header and shows nowhere else. Thread-safe; owned by server/main and lent by reference.
#ifndef BERTH_BASE_LOG_LOGGER_H_
#define BERTH_BASE_LOG_LOGGER_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError, kFatal };
enum class LogFormat { kText, kJson };

// "trace", "debug", "info", "warn" or "warning", "error", "fatal" or "panic".
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name);
absl::string_view LogLevelName(LogLevel level);

// A name and a value. Numbers stay numbers in JSON.
class LogField {
 public:
  template <typename Value>
  LogField(absl::string_view key, const Value& value) : key_(key) {  // NOLINT: written in braces
    Set(value);
  }
  absl::string_view key() const { return key_; }
  const std::string& text() const { return text_; }
  bool is_number() const { return is_number_; }

 private:
  template <typename Value>
  void Set(const Value& value) {
    if constexpr (std::is_same_v<Value, bool>) {
      text_ = value ? "true" : "false";
      is_number_ = true;
    } else if constexpr (std::is_integral_v<Value>) {
      text_ = std::to_string(value);
      is_number_ = true;
    } else if constexpr (std::is_same_v<Value, absl::Duration>) {
      text_ = absl::FormatDuration(value);
    } else if constexpr (std::is_same_v<Value, absl::Status>) {
      text_ = value.ToString(absl::StatusToStringMode::kWithNoExtraData);
    } else {
      text_ = std::string(value);
    }
  }

  absl::string_view key_;
  std::string text_;
  bool is_number_ = false;  // a number or a boolean, which JSON does not quote
};

class Logger {
 public:
  using Fields = std::initializer_list<LogField>;

  // Writes to file descriptor 2.
  Logger(LogLevel level, LogFormat format);
  // Hands each finished line (without its newline) to `write`, for tests.
  static Logger ForTest(LogLevel level, LogFormat format,
                        void (*write)(void* context, absl::string_view line), void* context);
  Logger(Logger&&) noexcept;
  ~Logger();

  void Trace(absl::string_view message, Fields fields = {}) const;
  void Debug(absl::string_view message, Fields fields = {}) const;
  void Info(absl::string_view message, Fields fields = {}) const;
  void Warning(absl::string_view message, Fields fields = {}) const;
  void Error(absl::string_view message, Fields fields = {}) const;

  bool Enabled(LogLevel level) const { return level >= level_; }

 private:
  class Output;
  Logger(LogLevel level, LogFormat format, std::unique_ptr<Output> output);
  void Write(LogLevel level, absl::string_view message, Fields fields) const;

  const LogLevel level_;
  const LogFormat format_;
  std::unique_ptr<Output> output_;
};

}  // namespace berth

#endif  // BERTH_BASE_LOG_LOGGER_H_
