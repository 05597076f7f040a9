#include "client/docker/disk_usage.h"

#include <gtest/gtest.h>

namespace berth::client {
namespace {

using ::berth::engine::v1::DiskUsageResponse;

DiskUsageResponse Usage() {
  DiskUsageResponse usage;
  usage.mutable_images()->set_total(3);
  usage.mutable_images()->set_active(1);
  usage.mutable_images()->set_size_bytes(2'000'000);
  usage.mutable_images()->set_reclaimable_bytes(500'000);
  DiskUsageResponse::Item* image = usage.add_image_items();
  image->set_id("sha256:0123456789abcdef");
  image->set_name("localhost:5000/app:v1");
  image->set_size_bytes(77'812'345);
  return usage;
}

TEST(DiskUsageTest, TheSummaryIsATableOrATemplate) {
  const auto text = DiskUsageSummary(Usage(), "");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->substr(0, 67),
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\nImages   ");
  EXPECT_NE(text->find("2MB       500kB (25%)\n"), std::string::npos) << *text;
  EXPECT_EQ(*DiskUsageSummary(Usage(), "{{.Type}}={{.Active}}"),
            "Images=1\nContainers=0\nLocal Volumes=0\nBuild Cache=0\n");
  EXPECT_FALSE(DiskUsageSummary(Usage(), "{{.Nothing}}").ok());
}

TEST(DiskUsageTest, AColonOfAPortIsNoTag) {
  const auto text = VerboseDiskUsage(Usage(), absl::Now());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_NE(text->find("localhost:5000/app   v1        0123456789ab"), std::string::npos) << *text;
  EXPECT_NE(text->find("Local Volumes space usage:\n\nVOLUME NAME"), std::string::npos);
}

}  // namespace
}  // namespace berth::client
