// The text of one log line, in both formats. Pure functions, thread-safe. Used by Logger only.
#ifndef BERTH_BASE_LOG_LOG_LINE_H_
#define BERTH_BASE_LOG_LOG_LINE_H_

#include <initializer_list>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/log/logger.h"

namespace berth {

// `time="..." level=info msg="..." key=value`; a value is quoted unless it is a plain word.
std::string TextLogLine(absl::Time time, LogLevel level, absl::string_view message,
                        std::initializer_list<LogField> fields);
// One JSON object with the same keys. Bytes that are not UTF-8 become U+FFFD.
std::string JsonLogLine(absl::Time time, LogLevel level, absl::string_view message,
                        std::initializer_list<LogField> fields);

}  // namespace berth

#endif  // BERTH_BASE_LOG_LOG_LINE_H_
