// Decompression and compression.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "snapshotter/layer/compress.h"
#include "snapshotter/layer/decompress.h"
#include "snapshotter/layer/layer_test_support.h"

namespace berth::layer {
namespace {

std::string Sample(size_t size) {
  std::string text;
  uint64_t state = 88172645463325252ull;
  while (text.size() < size) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    absl::StrAppend(&text, "line ", state % 1000, " of the sample\n");
  }
  text.resize(size);
  return text;
}

absl::Status ReadToEnd(absl::string_view compressed) {
  StringSource source(compressed, 1 << 20);
  const auto plain = OpenDecompressed(source);
  if (!plain.ok()) return plain.status();
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    const absl::StatusOr<size_t> got = (*plain)->Read(buffer.data(), buffer.size());
    if (!got.ok()) return got.status();
    if (*got == 0) return absl::OkStatus();
  }
}

TEST(DecompressTest, EveryKindComesBackWhateverThePiecesAre) {
  const std::string plain = Sample(700001);
  for (Compression kind : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress(kind, plain);
    if (kind != Compression::kNone) {
      EXPECT_LT(packed.size(), plain.size() / 2);
    }
    for (size_t piece : {1u << 20, 4096u, 1000u, 7u}) {
      EXPECT_TRUE(Decompress(packed, piece) == plain) << piece;
    }
  }
}

TEST(DecompressTest, EmptyAndShortInputsArePlain) {
  EXPECT_EQ(Decompress(""), "");
  EXPECT_EQ(Decompress("ab"), "ab");
  EXPECT_EQ(Decompress(Compress(Compression::kGzip, "")), "");
  EXPECT_EQ(Decompress(Compress(Compression::kZstd, "")), "");
}

TEST(DecompressTest, SeveralGzipMembersAndZeroPaddingAreOneStream) {
  const std::string first = Sample(100000);
  const std::string packed = Compress(Compression::kGzip, first) +
                             Compress(Compression::kGzip, "second") + std::string(700, '\0');
  for (size_t piece : {1u << 20, 4096u, 333u, 1u}) {
    EXPECT_TRUE(Decompress(packed, piece) == first + "second") << piece;
  }
}

TEST(DecompressTest, SeveralZstdFramesAreOneStream) {
  const std::string packed =
      Compress(Compression::kZstd, "first ") + Compress(Compression::kZstd, "second");
  EXPECT_EQ(Decompress(packed, 3), "first second");
}

TEST(DecompressTest, AnyTruncationIsAnError) {
  const std::string plain = Sample(50000);
  for (Compression kind : {Compression::kGzip, Compression::kZstd}) {
    const std::string packed = Compress(kind, plain);
    for (size_t cut = 5; cut < packed.size(); cut += 97) {
      EXPECT_EQ(ReadToEnd(packed.substr(0, cut)).code(), absl::StatusCode::kInvalidArgument) << cut;
    }
    for (size_t cut = 1; cut <= 8; ++cut) {
      EXPECT_EQ(ReadToEnd(packed.substr(0, packed.size() - cut)).code(),
                absl::StatusCode::kInvalidArgument)
          << cut;
    }
  }
}

TEST(DecompressTest, AFlippedBitIsAnError) {
  const std::string plain = Sample(50000);
  for (Compression kind : {Compression::kGzip, Compression::kZstd}) {
    std::string packed = Compress(kind, plain);
    for (size_t at : {packed.size() / 3, packed.size() / 2, packed.size() - 6}) {
      std::string damaged = packed;
      damaged[at] ^= 0x10;
      EXPECT_EQ(ReadToEnd(damaged).code(), absl::StatusCode::kInvalidArgument) << at;
    }
  }
}

TEST(CompressTest, TheSameInputGivesTheSameBytesHoweverItIsCut) {
  const std::string plain = Sample(300000);
  EXPECT_EQ(Compress(Compression::kGzip, plain), Compress(Compression::kGzip, plain));
  EXPECT_EQ(Compress(Compression::kZstd, plain), Compress(Compression::kZstd, plain));
}

}  // namespace
}  // namespace berth::layer
