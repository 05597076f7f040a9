#include "base/digest/digest.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"

namespace berth {
namespace {

constexpr char kEmptySha256[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbcSha256[] =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, ParseTakesTheThreeAlgorithms) {
  for (const std::string& text : {std::string(kEmptySha256), "sha384:" + std::string(96, 'a'),
                                  "sha512:" + std::string(128, '0')}) {
    absl::StatusOr<Digest> digest = Digest::Parse(text);
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(digest->text(), text);
    EXPECT_EQ(digest->hex(), absl::string_view(text).substr(7));
  }
}

TEST(DigestTest, ParseRefusesWhatCouldNotBeAFileName) {
  for (const std::string& text :
       {std::string(), std::string("sha256"), std::string("sha256:"), std::string("sha256:../../x"),
        "md5:" + std::string(32, 'a'), "sha256:" + std::string(64, 'A'),
        "sha256:" + std::string(63, 'a'), "sha256:" + std::string(65, 'a'),
        "sha256:" + std::string(63, 'a') + "/", ":" + std::string(64, 'a')}) {
    EXPECT_EQ(Digest::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(HasherTest, KnownValues) {
  EXPECT_EQ(HashString("").text(), kEmptySha256);
  EXPECT_EQ(HashString("abc").text(), kAbcSha256);
  EXPECT_EQ(HashString("abc", DigestAlgorithm::kSha384).text(),
            "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
            "8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(HashString("abc", DigestAlgorithm::kSha512).text(),
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(HasherTest, CurrentMayBeAskedInTheMiddleAndResetStartsAnew) {
  Hasher hasher;
  hasher.Update("a");
  EXPECT_EQ(hasher.Current(), HashString("a"));
  hasher.Update("bc");
  EXPECT_EQ(hasher.Current().text(), kAbcSha256);
  hasher.Reset();
  EXPECT_EQ(hasher.Current().text(), kEmptySha256);
}

TEST(HasherTest, FileIsHashedFromItsBeginningAndAShortOneIsDataLoss) {
  const std::string path = ::testing::TempDir() + "/hasher_test_file";
  absl::StatusOr<UniqueFd> file = OpenFile(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string data(700000, 'x');
  ASSERT_TRUE(WriteAll(*file, data).ok());
  absl::StatusOr<Digest> digest = HashFile(*file, DigestAlgorithm::kSha256);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(*digest, HashString(data));
  Hasher hasher;
  EXPECT_EQ(hasher.UpdateFromFile(*file, 10, 700000).code(), absl::StatusCode::kDataLoss);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace berth
