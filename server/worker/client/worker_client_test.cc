// berthd's side and the real worker program, together. Needs root (mounts, device nodes).
#include "server/worker/client/worker_client.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"
#include "server/registry/testing/fake_server.h"
#include "server/task/loop_thread.h"
#include "snapshotter/layer/layer_test_support.h"

namespace berth::worker {
namespace {

using layer::Directory;
using layer::File;
using layer::MakeTar;
using layer::ReadFileForTest;
using layer::Shell;
using layer::TestDirectory;

constexpr char kGzipLayer[] = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr char kPlainLayer[] = "application/vnd.oci.image.layer.v1.tar";

v1::Mount Bind(const std::string& source, const char* access = "rw") {
  v1::Mount mount;
  mount.set_type("bind");
  mount.set_source(source);
  mount.add_options("rbind");
  mount.add_options(access);
  return mount;
}

v1::Mount Overlay(const std::string& upper, const std::vector<std::string>& lowers) {
  v1::Mount mount;
  mount.set_type("overlay");
  mount.set_source("overlay");
  if (!upper.empty()) {
    mount.add_options("upperdir=" + upper);
    mount.add_options("workdir=" + upper + "-work");
  }
  mount.add_options("lowerdir=" + absl::StrJoin(lowers, ":"));
  return mount;
}

class WorkerClientTest : public testing::Test {
 protected:
  WorkerClientTest() {
    Shell(absl::StrCat("mkdir -p ", Store(), "/blobs/sha256 ", Store(), "/ingest"));
    loop_->Start();
    Restart({});
  }
  ~WorkerClientTest() override {
    client_->Stop();
    executor_.Stop();
    loop_->Stop();
    client_->Stop();  // once more, with nobody left to answer
  }

  std::string Store() const { return directory_ / "content"; }
  void Restart(WorkerClient::Options options) {
    if (client_ != nullptr) client_->Stop();
    if (options.executable.empty()) {
      options.executable = std::filesystem::absolute("server/worker/berth-worker");
    }
    options.content_directory = Store();
    client_ = std::make_unique<WorkerClient>(loop_->loop(), executor_, options);
  }
  std::string PutBlob(absl::string_view bytes) {
    const Digest digest = HashString(bytes);
    EXPECT_TRUE(ReplaceFileAt(BorrowedFd(AT_FDCWD),
                              absl::StrCat(Store(), "/blobs/sha256/", digest.hex()), bytes, 0444,
                              Durability::kUnsynced)
                    .ok());
    return digest.text();
  }

  template <typename Response>
  struct Waiter {
    Notification notification;
    absl::StatusOr<Response> response = absl::UnknownError("no answer");
    WorkerClient::Done<Response> Done() {
      return [this](absl::StatusOr<Response> result) {
        response = std::move(result);
        notification.Notify();
      };
    }
    absl::StatusOr<Response> Wait() {
      EXPECT_TRUE(notification.WaitForNotificationWithTimeout(absl::Seconds(60)));
      return response;
    }
  };
  static v1::ApplyRequest ApplyTo(const std::string& digest, const v1::Mount& mount) {
    v1::ApplyRequest request;
    request.set_digest(digest);
    request.set_media_type(kGzipLayer);
    *request.add_mounts() = mount;
    return request;
  }
  absl::StatusOr<v1::ApplyResponse> Apply(const v1::ApplyRequest& request) {
    Waiter<v1::ApplyResponse> waiter;
    client_->Apply(request, waiter.Done());
    return waiter.Wait();
  }
  absl::StatusOr<v1::DiffResponse> Diff(const std::vector<v1::Mount>& left, const v1::Mount& right,
                                        const char* media_type = kPlainLayer) {
    Shell(absl::StrCat("echo older > ", Store(), "/ingest/up"));
    v1::DiffRequest request;
    for (const v1::Mount& mount : left) *request.add_left() = mount;
    *request.add_right() = right;
    request.set_media_type(media_type);
    request.set_upload("up");
    Waiter<v1::DiffResponse> waiter;
    client_->Diff(request, waiter.Done());
    return waiter.Wait();
  }
  // The process ids of our children.
  static std::vector<pid_t> Workers() {
    std::vector<pid_t> pids;
    const std::vector<std::string> threads =
        *ListDirectory(*OpenFile("/proc/self/task", O_RDONLY | O_DIRECTORY));
    for (const std::string& thread : threads) {
      const auto text = ReadFile(absl::StrCat("/proc/self/task/", thread, "/children"));
      if (!text.ok()) continue;
      for (absl::string_view word : absl::StrSplit(*text, ' ', absl::SkipWhitespace())) {
        pid_t pid = 0;
        if (absl::SimpleAtoi(word, &pid)) pids.push_back(pid);
      }
    }
    return pids;
  }
  static bool WaitForWorkers(size_t count) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (Workers().size() != count && absl::Now() < deadline)
      absl::SleepFor(absl::Milliseconds(5));  // tidy: allow(sleep) polls, bounded
    return Workers().size() == count;
  }

  TestDirectory directory_;
  std::unique_ptr<LoopThread> loop_ = *LoopThread::Create();
  Executor executor_{2, 100};
  std::unique_ptr<WorkerClient> client_;
};

TEST_F(WorkerClientTest, ALayerIsUnpackedAndMadeAgain) {
  Shell(absl::StrCat("cd ", directory_.path(), " && mkdir lower upper && echo old > lower/old"));
  const std::string tar = MakeTar({Directory("etc"), File("etc/a"), layer::Whiteout(".wh.old")});
  const std::string blob = layer::Compress(layer::Compression::kGzip, tar);
  v1::ApplyRequest request =
      ApplyTo(PutBlob(blob), Overlay(directory_ / "upper", {directory_ / "lower"}));
  request.set_sync(true);
  const auto applied = Apply(request);
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->digest(), HashString(tar).text());
  EXPECT_EQ(applied->size(), static_cast<int64_t>(tar.size()));
  EXPECT_EQ(ReadFileForTest(directory_ / "upper/etc/a"), "data");

  for (const char* type :
       {kPlainLayer, kGzipLayer, "application/vnd.oci.image.layer.v1.tar+zstd"}) {
    const auto diff = Diff({Bind(directory_ / "lower", "ro")},
                           Overlay(directory_ / "upper", {directory_ / "lower"}), type);
    ASSERT_TRUE(diff.ok()) << diff.status();
    const std::string made = ReadFileForTest(Store() + "/ingest/up");
    EXPECT_EQ(diff->digest(), HashString(made).text());
    EXPECT_EQ(diff->size(), static_cast<int64_t>(made.size()));
    const std::string plain = layer::Decompress(made);
    EXPECT_EQ(diff->uncompressed_digest(), HashString(plain).text());
    EXPECT_EQ(layer::NamesInTar(plain), (std::vector<std::string>{"etc/", "etc/a", ".wh.old"}));
  }
  EXPECT_EQ(Workers().size(), 1u);
}

TEST_F(WorkerClientTest, TreesThatMustBeComparedLeaveNoMountBehind) {
  Shell(absl::StrCat("cd ", directory_.path(),
                     " && mkdir a b c && echo 1 > a/gone && echo 2 > b/x && echo 3 > c/y && "
                     "mkdir other && echo 2 > other/x && touch -d @1 b/x"));
  const auto diff = Diff({Overlay("", {directory_ / "a", directory_ / "b"})},
                         Overlay("", {directory_ / "c", directory_ / "other"}));
  ASSERT_TRUE(diff.ok()) << diff.status();
  EXPECT_EQ(layer::NamesInTar(ReadFileForTest(Store() + "/ingest/up")),
            (std::vector<std::string>{".wh.gone", "x", "y"}));
  // Other programs mount things meanwhile; ours would be an overlay, or show our directory.
  for (const std::string& process : {std::string("self"), absl::StrCat(Workers().at(0))}) {
    const std::string mounts = ReadFileForTest(absl::StrCat("/proc/", process, "/mountinfo"));
    EXPECT_FALSE(absl::StrContains(mounts, directory_.path())) << mounts;
  }
}

TEST_F(WorkerClientTest, AnEmptyOlderTreeMakesEverythingNew) {
  Shell(absl::StrCat("mkdir ", directory_ / "tree", " && touch ", directory_ / "tree/f"));
  const auto diff = Diff({}, Bind(directory_ / "tree"));
  ASSERT_TRUE(diff.ok()) << diff.status();
  EXPECT_EQ(layer::NamesInTar(ReadFileForTest(Store() + "/ingest/up")),
            std::vector<std::string>{"f"});
}

TEST_F(WorkerClientTest, BadLayersAreToldApart) {
  Shell(absl::StrCat("mkdir ", directory_ / "root"));
  const v1::Mount root = Bind(directory_ / "root");
  const std::string hostile = PutBlob(MakeTar({File("../escape")}));
  EXPECT_EQ(Apply(ApplyTo(hostile, root)).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string wrong = PutBlob("will change");
  Shell(absl::StrCat("echo changed > ", Store(), "/blobs/sha256/", wrong.substr(7)));
  EXPECT_EQ(Apply(ApplyTo(wrong, root)).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Apply(ApplyTo(HashString("missing").text(), root)).status().code(),
            absl::StatusCode::kNotFound);
  v1::ApplyRequest unknown = ApplyTo(hostile, root);
  unknown.set_media_type("application/octet-stream");
  EXPECT_EQ(Apply(unknown).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Apply(ApplyTo(hostile, Bind(directory_ / "root", "ro"))).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Diff({}, root, "application/json").status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(WorkerClientTest, AnIdleWorkerGoesAndTheNextJobGetsAnother) {
  Restart({"", "", absl::Milliseconds(50)});
  Shell(absl::StrCat("mkdir ", directory_ / "root"));
  const std::string blob = PutBlob(MakeTar({File("a")}));
  for (int i = 0; i < 3; ++i) {
    const auto applied = Apply(ApplyTo(blob, Bind(directory_ / "root")));
    ASSERT_TRUE(applied.ok()) << applied.status();
    EXPECT_TRUE(WaitForWorkers(0));
  }
}

TEST_F(WorkerClientTest, ManyJobsRunAtATime) {
  const std::string blob = PutBlob(MakeTar({File("a", std::string(100000, 'x'))}));
  constexpr int kJobs = 40;
  std::vector<std::unique_ptr<Waiter<v1::ApplyResponse>>> waiters;
  for (int i = 0; i < kJobs; ++i) {
    const std::string root = directory_ / absl::StrCat("root", i);
    Shell("mkdir " + root);
    waiters.push_back(std::make_unique<Waiter<v1::ApplyResponse>>());
    client_->Apply(ApplyTo(blob, Bind(root)), waiters.back()->Done());
  }
  for (auto& waiter : waiters) EXPECT_TRUE(waiter->Wait().ok());
  EXPECT_EQ(Workers().size(), 1u);
}

// A FIFO as a blob keeps a job busy for as long as the test likes.
TEST_F(WorkerClientTest, AWorkerThatDiesFailsItsJobsAndTheNextStartsAnother) {
  Shell(absl::StrCat("mkdir ", directory_ / "root"));
  const std::string blob = PutBlob(MakeTar({File("a")}));
  ASSERT_TRUE(Apply(ApplyTo(blob, Bind(directory_ / "root"))).ok());
  const std::string stuck = HashString("stuck").text();
  const std::string fifo = absl::StrCat(Store(), "/blobs/sha256/", stuck.substr(7));
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  Waiter<v1::ApplyResponse> waiter;
  client_->Apply(ApplyTo(stuck, Bind(directory_ / "root")), waiter.Done());
  // Once it works on it: a job that still waits when a worker dies goes to the next one.
  UniqueFd writer;
  for (int tries = 0; tries < 10'000 && !writer.valid(); ++tries) {
    if (auto opened = OpenFile(fifo, O_WRONLY | O_NONBLOCK); opened.ok()) {
      writer = *std::move(opened);
    } else {
      ::usleep(1000);
    }
  }
  ASSERT_TRUE(writer.valid());
  const std::vector<pid_t> workers = Workers();
  ASSERT_EQ(workers.size(), 1u);
  ::kill(workers[0], SIGKILL);
  const auto result = waiter.Wait();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(result.status().message(), "signal 9")) << result.status();
  EXPECT_TRUE(Apply(ApplyTo(blob, Bind(directory_ / "root"))).ok());
}

TEST_F(WorkerClientTest, StopFailsWhatRuns) {
  Shell(absl::StrCat("mkdir ", directory_ / "root"));
  const std::string stuck = HashString("stuck").text();
  ASSERT_EQ(::mkfifo(absl::StrCat(Store(), "/blobs/sha256/", stuck.substr(7)).c_str(), 0600), 0);
  Waiter<v1::ApplyResponse> waiter;
  client_->Apply(ApplyTo(stuck, Bind(directory_ / "root")), waiter.Done());
  client_->Stop();
  EXPECT_EQ(waiter.Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Workers().size(), 0u);
  EXPECT_EQ(Apply(ApplyTo(stuck, Bind(directory_ / "root"))).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(WorkerClientTest, AMissingProgramSaysWhatToDo) {
  Restart({"/nowhere/berth-worker", ""});
  const auto result = Apply(ApplyTo(HashString("x").text(), Bind("/")));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(result.status().message(), "/nowhere/berth-worker"));
  EXPECT_TRUE(absl::StrContains(result.status().message(), "install"));
}

TEST_F(WorkerClientTest, ACancelledJobEnds) {
  Shell(absl::StrCat("mkdir ", directory_ / "root"));
  const v1::Mount root = Bind(directory_ / "root");
  const std::string stuck = HashString("stuck").text();
  const std::string fifo = absl::StrCat(Store(), "/blobs/sha256/", stuck.substr(7));
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  // With a worker already there, the jobs below go to it at once.
  ASSERT_TRUE(Apply(ApplyTo(PutBlob(MakeTar({File("a")})), root)).ok());
  std::vector<std::unique_ptr<Waiter<v1::ApplyResponse>>> waiters;
  std::vector<uint64_t> jobs;
  for (size_t i = 0; i < WorkerClient::kMaxRunning; ++i) {
    waiters.push_back(std::make_unique<Waiter<v1::ApplyResponse>>());
    jobs.push_back(client_->Apply(ApplyTo(stuck, root), waiters.back()->Done()));
  }
  // One more waits its turn; it ends at once.
  Waiter<v1::ApplyResponse> waiting;
  client_->Cancel(client_->Apply(ApplyTo(stuck, root), waiting.Done()));
  EXPECT_EQ(waiting.Wait().status().code(), absl::StatusCode::kCancelled);
  // The others see it once the blob opens.
  for (uint64_t job : jobs) client_->Cancel(job);
  const absl::StatusOr<UniqueFd> writer = OpenFile(fifo, O_RDWR);
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (auto& waiter : waiters) EXPECT_FALSE(waiter->Wait().ok());
}

// The real worker, confined as it is, against a server that sends the blob with a pause in it.
TEST_F(WorkerClientTest, ALayerIsUnpackedWhileItIsFetched) {
  const std::string tar = MakeTar({File("first"), File("large", std::string(3 << 20, 'x'))});
  const std::string blob = layer::Compress(layer::Compression::kGzip, tar);
  const std::string digest = HashString(blob).text();
  std::atomic<int> connections{0};
  registry::testing::FakeServer server([&](const registry::testing::FakeRequest& request) {
    registry::testing::FakeResponse response;
    const bool resumed = request.headers.contains("range");
    response.body = resumed ? blob.substr(100) : blob;
    if (resumed) {
      response.status = 206;
      response.headers = {
          {"Content-Range", absl::StrCat("bytes 100-", blob.size() - 1, "/", blob.size())}};
    }
    if (connections++ == 0) response.cut_after = 100;
    return response;
  });
  Shell(absl::StrCat("mkdir ", directory_ / "root", " && touch ", Store(), "/ingest/up"));

  v1::FetchRequest fetch;
  fetch.mutable_origin()->set_registry("registry.test");
  fetch.mutable_origin()->set_repository("a/b");
  v1::Host& host = *fetch.mutable_origin()->add_hosts();
  host.set_host(server.address());
  host.set_can_pull(true);
  fetch.mutable_target()->set_digest(digest);
  fetch.mutable_target()->set_size(static_cast<int64_t>(blob.size()));
  fetch.set_upload("up");
  const std::shared_ptr<ProgressSlot> slot = client_->LendSlot();
  ASSERT_NE(slot, nullptr);
  Waiter<v1::FetchResponse> fetched;
  client_->Fetch(fetch, slot, fetched.Done());
  v1::ApplyRequest apply = ApplyTo(digest, Bind(directory_ / "root"));
  apply.mutable_follow()->set_upload("up");
  apply.mutable_follow()->set_slot(slot->number());
  const auto applied = Apply(apply);

  const auto result = fetched.Wait();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->fetched(), static_cast<int64_t>(blob.size()));
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->digest(), HashString(tar).text());
  EXPECT_EQ(ReadFileForTest(Store() + "/ingest/up"), blob);
  EXPECT_EQ(slot->Read().offset, blob.size());
  EXPECT_EQ(slot->Read().state, ProgressState::kDone);
  EXPECT_EQ(Workers().size(), 2u);
}

TEST_F(WorkerClientTest, AFollowerFailsWithItsFetch) {
  Shell(absl::StrCat("mkdir ", directory_ / "root", " && touch ", Store(), "/ingest/up"));
  registry::testing::FakeServer server([](const registry::testing::FakeRequest&) {
    registry::testing::FakeResponse response;
    response.status = 404;
    return response;
  });
  v1::FetchRequest fetch;
  v1::Host& host = *fetch.mutable_origin()->add_hosts();
  host.set_host(server.address());
  host.set_can_pull(true);
  fetch.mutable_target()->set_digest(HashString("x").text());
  fetch.mutable_target()->set_size(1);
  fetch.set_upload("up");
  const std::shared_ptr<ProgressSlot> slot = client_->LendSlot();
  Waiter<v1::FetchResponse> fetched;
  client_->Fetch(fetch, slot, fetched.Done());
  v1::ApplyRequest apply = ApplyTo(HashString("x").text(), Bind(directory_ / "root"));
  apply.mutable_follow()->set_upload("up");
  apply.mutable_follow()->set_slot(slot->number());
  EXPECT_EQ(Apply(apply).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(fetched.Wait().status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth::worker
