#include "client/commands/transfer_display.h"

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace berth::client {
namespace {

TEST(TransferDisplayTest, ALineShowsPartRateAndTotal) {
  const absl::Time now = absl::Now();
  TransferDisplay::Line line;
  line.event = "downloading";
  line.name = "layer-sha256:0123456789abcdef0123";
  line.done_bytes = 6 << 20;
  line.first_bytes = 2 << 20;  // these were here before
  line.total_bytes = 8 << 20;
  line.began = now - absl::Seconds(2);
  const std::string text = TransferDisplay::Format(line, 100, now);
  EXPECT_NE(text.find("layer 0123456789ab"), std::string::npos) << text;
  EXPECT_NE(text.find("[==================>     ]"), std::string::npos) << text;
  EXPECT_NE(text.find("6.0MiB/8.0MiB"), std::string::npos) << text;
  EXPECT_NE(text.find("2.0MiB/s"), std::string::npos) << text;
}

TEST(TransferDisplayTest, ANarrowTerminalGetsNoBarAndNoLongerLines) {
  TransferDisplay::Line line;
  line.event = "downloading";
  line.name = "layer-sha256:0123456789abcdef0123";
  line.total_bytes = 8 << 20;
  line.began = absl::Now();
  const std::string text = TransferDisplay::Format(line, 40, absl::Now());
  EXPECT_LE(text.size(), 40u);
  EXPECT_EQ(text.find('['), std::string::npos);
}

}  // namespace
}  // namespace berth::client
