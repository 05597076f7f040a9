#include "base/log/logger.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log/log_line.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/base_sink.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace berth {
namespace {

// Passes each line to a function, as it is.
class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FunctionSink(void (*write)(void*, absl::string_view), void* context)
      : write_(write), context_(context) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    write_(context_, absl::string_view(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

  void (*const write_)(void*, absl::string_view);
  void* const context_;
};

}  // namespace

class Logger::Output {
 public:
  explicit Output(spdlog::sink_ptr sink) : logger_("berth", std::move(sink)) {
    // The line is made here; spdlog's part is the sink, its lock and its error handling.
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
    // stderr may be a pipe whose reader is gone: losing lines is all that should happen.
    logger_.set_error_handler([](const std::string&) {});
    logger_.flush_on(spdlog::level::trace);
  }
  void Write(const std::string& line) {
    logger_.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  spdlog::logger logger_;
};

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  if (lower == "trace") return LogLevel::kTrace;
  if (lower == "debug") return LogLevel::kDebug;
  if (lower == "info") return LogLevel::kInfo;
  if (lower == "warn" || lower == "warning") return LogLevel::kWarning;
  if (lower == "error") return LogLevel::kError;
  if (lower == "fatal" || lower == "panic") return LogLevel::kFatal;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", name, "\" is no log level: expected trace, debug, info, warn, error or fatal"));
}

absl::string_view LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return "trace";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kFatal:
      return "fatal";
  }
  return "unknown";
}

Logger::Logger(LogLevel level, LogFormat format)
    : Logger(level, format,
             std::make_unique<Output>(std::make_shared<spdlog::sinks::stderr_sink_mt>())) {}

Logger::Logger(LogLevel level, LogFormat format, std::unique_ptr<Output> output)
    : level_(level), format_(format), output_(std::move(output)) {}

Logger Logger::ForTest(LogLevel level, LogFormat format, void (*write)(void*, absl::string_view),
                       void* context) {
  return Logger(level, format,
                std::make_unique<Output>(std::make_shared<FunctionSink>(write, context)));
}

Logger::Logger(Logger&&) noexcept = default;
Logger::~Logger() = default;

void Logger::Write(LogLevel level, absl::string_view message, Fields fields) const {
  if (!Enabled(level)) return;
  output_->Write(format_ == LogFormat::kJson ? JsonLogLine(absl::Now(), level, message, fields)
                                             : TextLogLine(absl::Now(), level, message, fields));
}

void Logger::Trace(absl::string_view message, Fields fields) const {
  Write(LogLevel::kTrace, message, fields);
}
void Logger::Debug(absl::string_view message, Fields fields) const {
  Write(LogLevel::kDebug, message, fields);
}
void Logger::Info(absl::string_view message, Fields fields) const {
  Write(LogLevel::kInfo, message, fields);
}
void Logger::Warning(absl::string_view message, Fields fields) const {
  Write(LogLevel::kWarning, message, fields);
}
void Logger::Error(absl::string_view message, Fields fields) const {
  Write(LogLevel::kError, message, fields);
}

}  // namespace berth
