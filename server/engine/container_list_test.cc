#include "server/engine/container_list.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/metadata/test_database.h"

namespace berth::engine {
namespace {

using sqlite::Connection;
using sqlite::WriteMode;

class ContainerListTest : public ::testing::Test {
 protected:
  ContainerListTest() : table_(*database_) {}

  // Ids are the name and zeros; each is newer than the one before it.
  void Add(absl::string_view name, v1::Status status) {
    v1::ContainerSummary summary;
    const std::string id = absl::StrCat(name, std::string(8, '0'));
    summary.set_id(id);
    summary.set_image("app:1");
    (*summary.mutable_labels())["tier"] = std::string(name);
    ASSERT_TRUE(table_.Reserve({"ns", id}, name).ok());
    AddRecord(id);
    ASSERT_TRUE(table_.SetSummary({"ns", id}, summary).ok());
    const auto changed = table_.ChangeState({"ns", id}, [&](v1::State& state) {
      state.set_status(status);
      state.set_exit_code(3);
      return true;
    });
    ASSERT_TRUE(changed.ok());
  }

  void AddRecord(absl::string_view id) {
    const absl::Status added =
        database_->Write(WriteMode::kDelayed, [&](Connection& connection) -> absl::Status {
          return connection.Run(
              "INSERT INTO containers (ns, id, snapshotter, snapshot_key, record) "
              "VALUES ('ns', ?, '', '', ?)",
              id, sqlite::Blob{""});
        });
    ASSERT_TRUE(added.ok()) << added;
  }

  // The names that come, one after the other; or the error.
  std::string Names(const v1::ListContainersRequest& request) {
    const auto parts =
        EncodedContainers(table_, "ns", request, absl::Now(),
                          [](v1::ContainerSummary& one) { one.set_size_rw_bytes(7); });
    if (!parts.ok()) return std::string(parts.status().message());
    std::string message;
    for (const std::string& part : *parts) message += part;
    EXPECT_TRUE(response_.ParseFromString(message));
    std::string names;
    for (const v1::ContainerSummary& one : response_.containers()) {
      absl::StrAppend(&names, names.empty() ? "" : " ", one.names(0));
    }
    return names;
  }

  static v1::ListContainersRequest Request(absl::string_view key, absl::string_view value) {
    v1::ListContainersRequest request;
    request.set_all(true);
    (*request.mutable_filters())[std::string(key)].add_values(std::string(value));
    return request;
  }

  metadata::TestDatabase database_;
  ContainerTable table_;
  v1::ListContainersResponse response_;
};

TEST_F(ContainerListTest, WhatIsStoredAndWhatStandsBesideIt) {
  Add("a", v1::STATUS_EXITED);
  v1::ListContainersRequest request;
  request.set_all(true);
  EXPECT_EQ(Names(request), "a");
  const v1::ContainerSummary& one = response_.containers(0);
  EXPECT_EQ(one.id(), "a00000000");
  EXPECT_EQ(one.image(), "app:1");
  EXPECT_EQ(one.state().status(), v1::STATUS_EXITED);
  EXPECT_EQ(one.status().substr(0, 10), "Exited (3)");
  EXPECT_EQ(one.size_rw_bytes(), 0);
  request.set_sizes(true);
  EXPECT_EQ(Names(request), "a");
  EXPECT_EQ(response_.containers(0).size_rw_bytes(), 7);
}

TEST_F(ContainerListTest, NewestFirstAndThoseThatRunUnlessAllAreWanted) {
  Add("a", v1::STATUS_RUNNING);
  Add("b", v1::STATUS_EXITED);
  Add("c", v1::STATUS_PAUSED);
  v1::ListContainersRequest request;
  EXPECT_EQ(Names(request), "c a");
  request.set_last(2);
  EXPECT_EQ(Names(request), "c b");
}

TEST_F(ContainerListTest, Filters) {
  Add("a", v1::STATUS_RUNNING);
  Add("b", v1::STATUS_EXITED);
  Add("c", v1::STATUS_EXITED);
  EXPECT_EQ(Names(Request("label", "tier=b")), "b");
  EXPECT_EQ(Names(Request("name", "^/[ac]$")), "c a");
  EXPECT_EQ(Names(Request("exited", "3")), "c b");
  EXPECT_EQ(Names(Request("status", "running")), "a");
  EXPECT_EQ(Names(Request("before", "b")), "a");
  EXPECT_EQ(Names(Request("since", "b0")), "c");
  EXPECT_EQ(Names(Request("before", "x")), "No such container: x");
  EXPECT_EQ(Names(Request("nope", "x")), "invalid filter 'nope'");
  EXPECT_EQ(Names(Request("status", "x")), "invalid filter 'status=x'");
}

TEST_F(ContainerListTest, APlaceIsHeldByOneThatIsNotShown) {
  Add("a", v1::STATUS_RUNNING);
  Add("b", v1::STATUS_EXITED);
  Add("c", v1::STATUS_RUNNING);
  v1::ListContainersRequest request = Request("before", "b");
  request.set_all(false);
  EXPECT_EQ(Names(request), "a");
}

TEST_F(ContainerListTest, ContainersOfOtherClientsCountAsCreated) {
  Add("a", v1::STATUS_RUNNING);
  AddRecord("theirs");
  v1::ListContainersRequest request;
  EXPECT_EQ(Names(request), "a");
  request.set_all(true);
  EXPECT_EQ(Names(request), "a theirs");
  EXPECT_EQ(response_.containers(1).status(), "Created");
  // A row without a record is a creation under way.
  ASSERT_TRUE(table_.Reserve({"ns", "0"}, "begun").ok());
  EXPECT_EQ(Names(request), "a theirs");
}

}  // namespace
}  // namespace berth::engine
