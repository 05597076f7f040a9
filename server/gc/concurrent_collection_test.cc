// Clients that make, name and release blobs while collections run without a pause.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "gtest/gtest.h"
#include "server/gc/collector.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/image_store.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/test_database.h"

namespace berth::gc {
namespace {

using metadata::Caller;
using metadata::Collectable;
using metadata::ObjectId;
using metadata::ObjectKind;
using metadata::Rooted;

// The rows of the table blobs, without files.
class BlobRows final : public Collectable {
 public:
  ObjectKind kind() const override { return ObjectKind::kContent; }
  absl::Status ForEach(sqlite::Connection& connection, absl::Time,
                       absl::FunctionRef<void(ObjectId, Rooted)> visit) override {
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                           connection.Prepare("SELECT ns, digest FROM blobs"));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      visit({kind(), std::string(row.ColumnText(0)), std::string(row.ColumnText(1))}, Rooted::kNo);
    }
  }
  absl::Status References(sqlite::Connection&, const ObjectId&,
                          absl::FunctionRef<void(ObjectId)>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ObjectId>> RemoveRecords(sqlite::Connection& connection,
                                                      absl::Span<const ObjectId> objects) override {
    std::vector<ObjectId> removed;
    for (const ObjectId& object : objects) {
      BERTH_RETURN_IF_ERROR(
          connection.Run("DELETE FROM blobs WHERE ns = ? AND digest = ?", object.ns, object.name));
      if (connection.Changes() > 0) removed.push_back(object);
      BERTH_RETURN_IF_ERROR(RemoveGcLabels(connection, object));
    }
    return removed;
  }
  absl::Status RemoveData(absl::Span<const ObjectId> removed) override {
    removed_ += static_cast<int>(removed.size());
    return absl::OkStatus();
  }
  std::atomic<int> removed_{0};
};

class NoEvents final : public EventSink {
 public:
  void Publish(absl::string_view, absl::string_view, const google::protobuf::Message&) override {}
};

class Client {
 public:
  Client(sqlite::Database& database, int number)
      : database_(database), images_(database), leases_(database), number_(number) {}

  // One pull in small: under a lease a manifest that labels a layer, then the image, then the lease
  // goes. The same digests come again and again, so that collections meet them dying and coming
  // back.
  void PullAndRemove() {
    const Caller plain{"ns"};
    const auto lease = leases_.Create(plain, "", {});
    ASSERT_TRUE(lease.ok()) << lease.status();
    const Caller caller{"ns", lease->id()};
    const std::string layer = DigestOf(1);
    const std::string manifest = DigestOf(2);
    ASSERT_TRUE(Hold(caller, layer, "").ok());
    ASSERT_TRUE(Hold(caller, manifest, layer).ok());
    metadata::ImageStore::Image image;
    image.set_name(absl::StrFormat("image-%d", number_));
    image.mutable_target()->set_digest(manifest);
    image.mutable_target()->set_size(1);
    image.mutable_target()->set_media_type("m");
    ASSERT_TRUE(images_.Create(plain, image).ok());
    ASSERT_TRUE(leases_.Delete(plain, lease->id()).ok());
    EXPECT_TRUE(Exists(manifest)) << number_;
    EXPECT_TRUE(Exists(layer)) << number_;
    ASSERT_TRUE(images_.Delete(plain, image.name()).ok());
  }

 private:
  std::string DigestOf(int what) const {
    return absl::StrFormat("sha256:%062d%02d", number_, what);
  }

  // A blob that is there already only joins the lease, as Content.Write does.
  absl::Status Hold(const Caller& caller, const std::string& digest, const std::string& refers_to) {
    return database_.Write(
        sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
          BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, caller.ns));
          BERTH_RETURN_IF_ERROR(
              connection.Run("INSERT INTO blobs (ns, digest, record) VALUES (?, ?, '') "
                             "ON CONFLICT DO NOTHING",
                             caller.ns, digest));
          metadata::Labels labels;
          if (!refers_to.empty()) labels["containerd.io/gc.ref.content.l.0"] = refers_to;
          BERTH_RETURN_IF_ERROR(SetGcLabels(connection, {ObjectKind::kContent, caller.ns, digest},
                                            labels, metadata::ObjectAge::kMayExist));
          return AddToLease(connection, caller, metadata::kContentResource, digest);
        });
  }
  bool Exists(const std::string& digest) {
    bool found = false;
    const absl::Status status = database_.Read([&](sqlite::Connection& connection) -> absl::Status {
      BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                             connection.Prepare("SELECT 1 FROM blobs WHERE digest = ?"));
      BERTH_ASSIGN_OR_RETURN(found, row.Bind(digest).Step());
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return found;
  }

  sqlite::Database& database_;
  metadata::ImageStore images_;
  metadata::LeaseStore leases_;
  const int number_;
};

TEST(ConcurrentCollectionTest, NothingThatIsHeldIsEverRemoved) {
  metadata::TestDatabase database;
  metadata::ImageStore images(*database);
  metadata::LeaseStore leases(*database);
  BlobRows blobs;
  NoEvents events;
  Collector collector(*database, {&images, &leases, &blobs}, events);
  std::atomic<int> running{3};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&, i] {
      Client client(*database, i);
      for (int n = 0; n < 40; ++n) client.PullAndRemove();
      --running;
    });
  }
  int collections = 0;
  while (running > 0) {
    const auto result = collector.Collect(absl::Now());
    ASSERT_TRUE(result.ok()) << result.status();
    ++collections;
  }
  for (std::thread& client : clients) client.join();
  ASSERT_TRUE(collector.Collect(absl::Now()).ok());
  EXPECT_GT(collections, 10);
  EXPECT_GT(blobs.removed_.load(), 6);  // they died and came back while collections ran
  ASSERT_TRUE(database
                  ->Read([](sqlite::Connection& connection) -> absl::Status {
                    BERTH_ASSIGN_OR_RETURN(
                        sqlite::Statement row,
                        connection.Prepare("SELECT (SELECT count(*) FROM blobs), "
                                           "(SELECT count(*) FROM gc_labels), "
                                           "(SELECT count(*) FROM gc_changed)"));
                    BERTH_RETURN_IF_ERROR(row.Step());
                    for (int column = 0; column < 3; ++column) {
                      EXPECT_EQ(row.ColumnInt64(column), 0) << column;
                    }
                    return absl::OkStatus();
                  })
                  .ok());
}

}  // namespace
}  // namespace berth::gc
