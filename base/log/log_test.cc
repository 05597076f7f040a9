#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/log/log_line.h"
#include "base/log/logger.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

const absl::Time kTime = absl::FromUnixMicros(1'600'000'000'123'456);

TEST(LogLineTest, TextQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(TextLogLine(kTime, LogLevel::kInfo, "started",
                        {{"namespace", "default"}, {"path", "/a b"}, {"pid", 7}}),
            "time=\"2020-09-13T12:26:40.123456Z\" level=info msg=\"started\" namespace=default "
            "path=\"/a b\" pid=7");
}

TEST(LogLineTest, HostileValueCannotForgeALine) {
  EXPECT_EQ(TextLogLine(kTime, LogLevel::kError, "m", {{"container", "x\nlevel=info\x1b[2J\xff"}}),
            "time=\"2020-09-13T12:26:40.123456Z\" level=error msg=\"m\" "
            "container=\"x\\nlevel=info\\u001b[2J\\ufffd\"");
}

TEST(LogLineTest, JsonKeepsNumbersAndBooleans) {
  EXPECT_EQ(
      JsonLogLine(kTime, LogLevel::kWarning, "a \"b\"", {{"pid", 7}, {"ok", true}, {"step", "7"}}),
      "{\"time\":\"2020-09-13T12:26:40.123456Z\",\"level\":\"warning\","
      "\"msg\":\"a \\\"b\\\"\",\"pid\":7,\"ok\":true,\"step\":\"7\"}");
}

TEST(LogLineTest, StatusAndDurationHaveTheirUsualForm) {
  const std::string line =
      TextLogLine(kTime, LogLevel::kInfo, "m",
                  {{"error", absl::NotFoundError("no x")}, {"duration", absl::Milliseconds(1500)}});
  EXPECT_NE(line.find("error=\"NOT_FOUND: no x\" duration=1.5s"), std::string::npos) << line;
}

TEST(LoggerTest, WritesFromItsLevelOn) {
  std::vector<std::string> lines;
  const Logger log = Logger::ForTest(
      LogLevel::kWarning, LogFormat::kText,
      [](void* context, absl::string_view line) {
        static_cast<std::vector<std::string>*>(context)->emplace_back(line);
      },
      &lines);
  log.Info("quiet {}");
  log.Warning("loud {}", {{"a", "{}"}});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("msg=\"loud {}\" a=\"{}\""), std::string::npos);
}

TEST(LogLevelTest, ContainerdsNamesAreKnownAndOthersRefused) {
  EXPECT_EQ(*ParseLogLevel("WARN"), LogLevel::kWarning);
  EXPECT_EQ(*ParseLogLevel("panic"), LogLevel::kFatal);
  EXPECT_EQ(ParseLogLevel("loud").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth
