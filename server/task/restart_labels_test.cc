#include "server/task/restart_labels.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace berth {
namespace {

using Policy = shim::v1::RestartPolicy;

std::optional<shim::v1::SetPolicyRequest> Of(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  Labels labels;
  for (const auto& [name, value] : entries) labels["containerd.io/restart." + name] = value;
  return PolicyOfLabels(labels);
}

TEST(RestartLabelsTest, OnlyWhatIsToRunHasAPolicy) {
  EXPECT_FALSE(Of({}).has_value());
  EXPECT_FALSE(Of({{"status", "stopped"}, {"policy", "always"}}).has_value());
  EXPECT_FALSE(Of({{"policy", "always"}}).has_value());
  ASSERT_TRUE(Of({{"status", "running"}}).has_value());
  EXPECT_EQ(Of({{"status", "running"}})->restart().mode(), Policy::ALWAYS);
  EXPECT_TRUE(Of({{"status", "running"}})->restart().start_if_stopped());
}

TEST(RestartLabelsTest, PoliciesAreTheMonitors) {
  const auto mode = [](const std::string& policy) {
    return Of({{"status", "running"}, {"policy", policy}});
  };
  EXPECT_EQ(mode("always")->restart().mode(), Policy::ALWAYS);
  EXPECT_EQ(mode("unless-stopped")->restart().mode(), Policy::UNLESS_STOPPED);
  EXPECT_EQ(mode("on-failure")->restart().maximum_retries(), 0u);
  EXPECT_EQ(mode("on-failure:5")->restart().mode(), Policy::ON_FAILURE);
  EXPECT_EQ(mode("on-failure:5")->restart().maximum_retries(), 5u);
  for (const char* bad : {"no", "sometimes", "on-failure:x", "always:3", "on-failure:-1"}) {
    EXPECT_FALSE(mode(bad).has_value()) << bad;
  }
}

TEST(RestartLabelsTest, StopIsHeededByUnlessStoppedOnly) {
  EXPECT_TRUE(
      Of({{"status", "running"}, {"policy", "unless-stopped"}, {"explicitly-stopped", "true"}})
          ->explicitly_stopped());
  EXPECT_FALSE(Of({{"status", "running"}, {"policy", "always"}, {"explicitly-stopped", "true"}})
                   ->explicitly_stopped());
}

TEST(RestartLabelsTest, CountAndLogsAreTaken) {
  const auto policy = Of({{"status", "running"}, {"count", "4"}, {"loguri", "file:///l"}});
  EXPECT_EQ(policy->restart().earlier_restarts(), 4u);
  EXPECT_EQ(policy->restart().later_stdio().stdout(), "file:///l");
  EXPECT_EQ(policy->restart().later_stdio().stderr(), "file:///l");
  EXPECT_EQ(Of({{"status", "running"}, {"logpath", "/l"}})->restart().later_stdio().stdout(),
            "file:///l");
  EXPECT_TRUE(Of({{"status", "running"}})->restart().has_later_stdio());
}

TEST(RestartLabelsTest, MonitorsLabelsAreToldFromOthers) {
  Labels labels;
  labels["containerd.io/gc.root"] = "x";
  EXPECT_FALSE(HasRestartLabels(labels));
  labels["containerd.io/restart.status"] = "stopped";
  EXPECT_TRUE(HasRestartLabels(labels));
}

}  // namespace
}  // namespace berth
