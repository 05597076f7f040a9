// How long a collection of many blobs' records keeps others from writing.
//
//   collection_bench [RECORDS]      (100000)
//
// A client writes one small record after the other, first alone, then while the collection runs
// over the real stores and a database on the disk. Printed: for each the number of writes, and the
// median, the 99.9th percentile and the highest of their times. What a lock of the collection holds
// up appears there. Also printed: the longest transaction that the collection itself held.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"
#include "server/content/content_collector.h"
#include "server/content/content_store.h"
#include "server/gc/collector.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/test_database.h"

namespace berth::gc {
namespace {

class NoEvents final : public EventSink {
 public:
  void Publish(absl::string_view, absl::string_view, const google::protobuf::Message&) override {}
};

// Measures the part of a removal's transaction that the store takes.
class Timed final : public metadata::Collectable {
 public:
  explicit Timed(metadata::Collectable& inner) : inner_(inner) {}
  metadata::ObjectKind kind() const override { return inner_.kind(); }
  absl::Status ForEach(
      sqlite::Connection& connection, absl::Time now,
      absl::FunctionRef<void(metadata::ObjectId, metadata::Rooted)> visit) override {
    return inner_.ForEach(connection, now, visit);
  }
  absl::Status References(sqlite::Connection& connection, const metadata::ObjectId& object,
                          absl::FunctionRef<void(metadata::ObjectId)> visit) override {
    return inner_.References(connection, object, visit);
  }
  absl::StatusOr<std::vector<metadata::ObjectId>> RemoveRecords(
      sqlite::Connection& connection, absl::Span<const metadata::ObjectId> objects) override {
    const absl::Time began = absl::Now();
    const absl::Duration cpu_before = ThreadCpu();
    auto removed = inner_.RemoveRecords(connection, objects);
    const absl::Duration took = absl::Now() - began;
    longest = std::max(longest, took);
    longest_cpu = std::max(longest_cpu, ThreadCpu() - cpu_before);
    over_limit += took > absl::Milliseconds(10) ? 1 : 0;
    ++steps;
    return removed;
  }
  absl::Status RemoveData(absl::Span<const metadata::ObjectId> removed) override {
    return inner_.RemoveData(removed);
  }
  absl::Duration longest;
  absl::Duration longest_cpu;  // without what others took of the processor meanwhile
  int over_limit = 0;
  int steps = 0;

 private:
  static absl::Duration ThreadCpu() {
    struct timespec time = {};
    BERTH_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return absl::DurationFromTimespec(time);
  }
  metadata::Collectable& inner_;
};

std::string DigestOf(int number) { return absl::StrFormat("sha256:%064x", number); }

void Fill(sqlite::Database& database, const std::string& content, int count) {
  for (int begin = 0; begin < count; begin += 5000) {
    BERTH_CHECK(database
                    .Write(sqlite::WriteMode::kDelayed,
                           [&](sqlite::Connection& connection) -> absl::Status {
                             BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, "bench"));
                             for (int i = begin; i < std::min(begin + 5000, count); ++i) {
                               BERTH_RETURN_IF_ERROR(connection.Run(
                                   "INSERT INTO blobs (ns, digest, record) VALUES ('bench', ?, '')",
                                   DigestOf(i)));
                               metadata::Labels labels;
                               if (i % 10 == 0) {
                                 labels["containerd.io/gc.ref.content.l.0"] = DigestOf(i + 1);
                               }
                               BERTH_RETURN_IF_ERROR(metadata::SetGcLabels(
                                   connection,
                                   {metadata::ObjectKind::kContent, "bench", DigestOf(i)}, labels,
                                   metadata::ObjectAge::kNewObject));
                             }
                             return absl::OkStatus();
                           })
                    .ok());
  }
  for (int i = 0; i < count; ++i) {
    const std::string path = absl::StrCat(content, "/blobs/sha256/", DigestOf(i).substr(7));
    BERTH_CHECK(OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0644).ok());
  }
}

struct Times {
  std::vector<double> ms;
  void Print(const char* what) {
    BERTH_CHECK(!ms.empty());
    std::sort(ms.begin(), ms.end());
    ::printf("%-12s %7zu writes  median %.3f ms  p99.9 %.3f ms  highest %.3f ms\n", what, ms.size(),
             ms[ms.size() / 2], ms[ms.size() * 999 / 1000], ms.back());
  }
};

Times WriteUntil(sqlite::Database& database, const std::atomic<bool>& ended) {
  Times times;
  int number = 0;
  while (!ended.load()) {
    const absl::Time began = absl::Now();
    BERTH_CHECK(database
                    .Write(sqlite::WriteMode::kDelayed,
                           [&](sqlite::Connection& connection) {
                             return metadata::EnsureNamespace(connection,
                                                              absl::StrCat("n", number % 100));
                           })
                    .ok());
    times.ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - began));
    ++number;
    absl::SleepFor(absl::Milliseconds(1));  // tidy: allow(sleep) the client's own pace
  }
  return times;
}

int Main(int count) {
  metadata::TestDatabase database;
  NoEvents events;
  const std::string directory = database.directory() + "/content";
  auto content = content::ContentStore::Open(directory, *database, &events, nullptr, {});
  BERTH_CHECK(content.ok());
  Fill(*database, directory, count);
  content::BlobCollector blobs(**content);
  Timed timed(blobs);
  Collector collector(*database, {&timed}, events);

  std::atomic<bool> ended{false};
  Times alone;
  std::thread client([&] { alone = WriteUntil(*database, ended); });
  absl::SleepFor(absl::Seconds(3));  // tidy: allow(sleep) as long as is measured
  ended = true;
  client.join();
  alone.Print("alone");

  ended = false;
  Times beside;
  std::thread second([&] { beside = WriteUntil(*database, ended); });
  const absl::StatusOr<CollectionResult> result = collector.Collect(absl::Now());
  ended = true;
  second.join();
  BERTH_CHECK(result.ok());
  beside.Print("collecting");
  ::printf(
      "removed %d records in %.2f s; of %d removal steps the longest took %.3f ms (%.3f ms of "
      "processor), %d took more than 10 ms\n",
      result->removed, absl::ToDoubleSeconds(result->duration), timed.steps,
      absl::ToDoubleMilliseconds(timed.longest), absl::ToDoubleMilliseconds(timed.longest_cpu),
      timed.over_limit);
  return result->removed == count ? 0 : 1;
}

}  // namespace
}  // namespace berth::gc

int main(int argc, char** argv) {
  const int count = argc > 1 ? ::atoi(argv[1]) : 100000;
  if (count <= 0) {
    ::fputs("usage: collection_bench [RECORDS]\n", stderr);
    return 2;
  }
  return berth::gc::Main(count);
}
