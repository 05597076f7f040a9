// Fetching blobs: cuts, ranges, resumption, and registries that lie.
#include "server/registry/fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "server/registry/testing/fake_registry.h"

namespace berth::registry {
namespace {

using testing::FakeRegistry;
using testing::FakeRequest;
using testing::FakeResponse;
using worker::v1::FetchRequest;
using worker::v1::FetchResponse;

constexpr char kLayer[] = "application/vnd.oci.image.layer.v1.tar+gzip";

std::string Noise(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes;
  bytes.reserve(size + 8);
  while (bytes.size() < size) {
    const uint64_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  bytes.resize(size);
  return bytes;
}

class FetchTest : public ::testing::Test {
 protected:
  FetchTest() {
    char name[] = "/tmp/berth-fetch-XXXXXX";
    file_ = UniqueFd(::mkstemp(name));
    ::unlink(name);
  }

  FetchRequest RequestFor(const std::string& bytes) {
    FetchRequest request;
    *request.mutable_origin() = registry_.OriginOf("a/b");
    request.mutable_target()->set_digest(registry_.AddBlob("a/b", bytes));
    request.mutable_target()->set_size(static_cast<int64_t>(bytes.size()));
    request.mutable_target()->set_media_type(kLayer);
    return request;
  }
  absl::StatusOr<FetchResponse> Run(const FetchRequest& request) {
    UploadObserver observer;
    observer.on_progress = [this](uint64_t offset, uint64_t) { progress_ = offset; };
    observer.on_restart = [this] { ++restarts_; };
    return Fetch(request, *DupFd(file_), std::move(observer), {session_, cancelled_});
  }
  std::string Stored() {
    ::lseek(file_.get(), 0, SEEK_SET);
    return *ReadAll(file_, 1u << 30);
  }
  void Store(const std::string& bytes) {
    ASSERT_EQ(::pwrite(file_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  // The one answer that holds a blob's bytes.
  template <typename Change>
  void MeddleWithBlobs(Change change) {
    registry_.meddle = [change](const FakeRequest& request, FakeResponse& response) mutable {
      if (absl::StrContains(request.target, "/blobs/") && response.status < 300) change(response);
    };
  }

  FakeRegistry registry_;
  UniqueFd file_;
  Session session_;
  std::atomic<bool> cancelled_{false};
  uint64_t progress_ = 0;
  int restarts_ = 0;
};

TEST_F(FetchTest, ABlobArrivesAndProgressIsTold) {
  const std::string bytes = Noise(1 << 20);
  const auto response = Run(RequestFor(bytes));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(Stored(), bytes);
  EXPECT_EQ(response->size(), 1 << 20);
  EXPECT_EQ(response->fetched(), 1 << 20);
  EXPECT_EQ(progress_, bytes.size());
}

TEST_F(FetchTest, ACutConnectionGoesOnWhereItEnded) {
  const std::string bytes = Noise(3 << 20);
  std::mt19937 random(7);
  int cuts = 0;
  MeddleWithBlobs([&](FakeResponse& response) {
    if (cuts++ < 50) response.cut_after = 20000 + random() % 60000;
  });
  const auto response = Run(RequestFor(bytes));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(Stored(), bytes);
  EXPECT_GE(cuts, 30);
  // Each byte came once.
  EXPECT_EQ(response->fetched(), static_cast<int64_t>(bytes.size()));
}

TEST_F(FetchTest, AnUploadThatIsThereIsGoneOnWith) {
  const std::string bytes = Noise(1 << 20);
  Store(bytes.substr(0, 700000));
  const auto response = Run(RequestFor(bytes));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(Stored(), bytes);
  EXPECT_EQ(response->fetched(), (1 << 20) - 700000);
  // Complete already: nobody is asked.
  const size_t before = registry_.requests().size();
  ASSERT_TRUE(Run(RequestFor(bytes)).ok());
  EXPECT_EQ(registry_.requests().size(), before);
}

TEST_F(FetchTest, AHostWithoutRangesIsReadFromTheBeginning) {
  const std::string bytes = Noise(200000);
  registry_.serves_ranges = false;
  Store(bytes.substr(0, 100000));
  ASSERT_TRUE(Run(RequestFor(bytes)).ok());
  EXPECT_EQ(Stored(), bytes);
}

TEST_F(FetchTest, AWrongBeginningIsFetchedAgain) {
  const std::string bytes = Noise(200000);
  Store(std::string(100000, 'x'));
  const auto response = Run(RequestFor(bytes));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(Stored(), bytes);
  EXPECT_EQ(restarts_, 1);
}

TEST_F(FetchTest, AForeignEndIsCutOff) {
  const std::string bytes = Noise(1000);
  Store(std::string(5000, 'x'));
  ASSERT_TRUE(Run(RequestFor(bytes)).ok());
  EXPECT_EQ(Stored(), bytes);
}

TEST_F(FetchTest, LiesAboutABlobLeaveNothing) {
  const std::string bytes = Noise(300000);
  const auto refuse = [&](const char* what) {
    const auto response = Run(RequestFor(bytes));
    EXPECT_EQ(response.status().code(), absl::StatusCode::kDataLoss) << what << response.status();
    EXPECT_EQ(Stored(), "") << what;
  };
  MeddleWithBlobs([](FakeResponse& response) { response.body[77] ^= 1; });
  refuse("other bytes");
  MeddleWithBlobs([](FakeResponse& response) { response.body += "more"; });
  refuse("a larger size");
  MeddleWithBlobs([](FakeResponse& response) { response.body.resize(100); });
  refuse("a smaller size");
  MeddleWithBlobs([](FakeResponse& response) {
    response.endless = true;
    response.body = std::string(65536, 'x');
  });
  refuse("an endless body");
}

TEST_F(FetchTest, ABodyThatEndsEarlyTimeAndAgainIsGivenUp) {
  const std::string bytes = Noise(300000);
  MeddleWithBlobs([](FakeResponse& response) {
    response.chunked = true;
    response.status = 200;
    response.body.resize(std::min<size_t>(response.body.size(), 1000));
  });
  registry_.serves_ranges = false;
  EXPECT_EQ(Run(RequestFor(bytes)).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FetchTest, ASlowDripIsGivenUpAndWhatCameStays) {
  const std::string bytes = Noise(100000);
  MeddleWithBlobs([](FakeResponse& response) { response.drip = absl::Milliseconds(20); });
  Session impatient(absl::Seconds(1));
  UploadObserver observer{[](uint64_t, uint64_t) {}, [] {}};
  const auto response =
      Fetch(RequestFor(bytes), *DupFd(file_), std::move(observer), {impatient, cancelled_});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kUnavailable) << response.status();
  EXPECT_TRUE(absl::StrContains(response.status().message(), "too slowly")) << response.status();
  const std::string stored = Stored();
  EXPECT_GT(stored.size(), 0u);
  EXPECT_EQ(stored, bytes.substr(0, stored.size()));
}

TEST_F(FetchTest, AWrongRangeIsALie) {
  const std::string bytes = Noise(300000);
  Store(bytes.substr(0, 1000));
  MeddleWithBlobs([](FakeResponse& response) {
    for (auto& [name, value] : response.headers) {
      if (name == "Content-Range") value = "bytes 0-299999/300000";
    }
  });
  EXPECT_EQ(Run(RequestFor(bytes)).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FetchTest, AHonestHostHelpsWhereAMirrorLies) {
  const std::string bytes = Noise(100000);
  FetchRequest request = RequestFor(bytes);
  FakeRegistry mirror;
  mirror.AddBlob("a/b", bytes);
  mirror.meddle = [](const FakeRequest&, FakeResponse& response) { response.body[5] ^= 1; };
  const worker::v1::Origin registry = request.origin();
  *request.mutable_origin() = mirror.OriginOf("a/b");
  *request.mutable_origin()->add_hosts() = registry.hosts(0);
  const auto response = Run(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->host(), registry_.address());
  EXPECT_EQ(Stored(), bytes);
  EXPECT_EQ(restarts_, 1);  // a follower read the lie
}

TEST_F(FetchTest, AnotherPlaceIsAskedForAForeignLayer) {
  const std::string bytes = Noise(1000);
  FetchRequest request = RequestFor(bytes);
  FakeRegistry elsewhere;
  elsewhere.AddBlob("x", bytes);
  registry_.blobs.clear();
  request.mutable_target()->add_urls(
      absl::StrCat("http://", elsewhere.address(), "/v2/x/blobs/", request.target().digest()));
  EXPECT_FALSE(Run(request).ok() && Stored() != bytes);
  EXPECT_EQ(Stored(), bytes);
}

TEST_F(FetchTest, ManifestsAreFetchedByDigest) {
  const std::string manifest = "{\"layers\":[]}";
  FetchRequest request = RequestFor("");
  request.mutable_target()->set_media_type("application/vnd.oci.image.manifest.v1+json");
  request.mutable_target()->set_digest(
      registry_.AddManifest("a/b", "", manifest, "application/vnd.oci.image.manifest.v1+json"));
  request.mutable_target()->set_size(static_cast<int64_t>(manifest.size()));
  Store("{\"");
  ASSERT_TRUE(Run(request).ok()) << Run(request).status();
  EXPECT_EQ(Stored(), manifest);
}

TEST_F(FetchTest, ALargeBlobFromASlowHostComesInRanges) {
  const std::string bytes = Noise(60 << 20);
  // Slow by its first answers; cut somewhere in one of the others.
  int answers = 0;
  MeddleWithBlobs([&](FakeResponse& response) {
    ++answers;
    if (answers <= 3) response.cut_after = 4 << 20;  // the pauses that follow make it slow
    if (answers == 6) response.cut_after = 100000;
  });
  const auto response = Run(RequestFor(bytes));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(Stored() == bytes);
  EXPECT_EQ(response->fetched(), static_cast<int64_t>(bytes.size()));
  EXPECT_GE(answers, 11);
}

TEST_F(FetchTest, ADeniedBlobSaysWhatAndWhere) {
  FetchRequest request = RequestFor("x");
  registry_.auth = FakeRegistry::Auth::kBasic;
  const absl::Status status = Run(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(absl::StrContains(status.message(), request.target().digest())) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "registry.test/a/b")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "log in")) << status;
}

TEST_F(FetchTest, AFullDiskSaysSoAndKeepsWhatIsThere) {
  const UniqueFd full = *OpenFile("/dev/full", O_RDWR);
  UploadFile upload(*DupFd(full), HashString("x"), 1 << 20, {[](uint64_t, uint64_t) {}, [] {}});
  ASSERT_TRUE(upload.Append(std::string(1000, 'x')).ok());
  const absl::Status status = upload.Flush();
  EXPECT_FALSE(status.ok());
}

}  // namespace
}  // namespace berth::registry
