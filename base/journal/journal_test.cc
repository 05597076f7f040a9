#include "base/journal/journal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"

namespace berth::journal {
namespace {

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = ::testing::TempDir() + "/journal.XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    path_ = path;
    bundle_ = *OpenFile(path, O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override { (void)RemoveTreeAt(BorrowedFd(AT_FDCWD), path_); }

  std::unique_ptr<Writer> MakeWriter() {
    auto writer = Writer::Create(
        bundle_,
        Header{.boot_id = "", .namespace_name = "ns", .container_id = "c", .shim = {7, 8}});
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  void Damage(off_t offset) {
    const UniqueFd file = *OpenAt(bundle_, kFileName, O_RDWR);
    char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, offset), 1);
    byte = static_cast<char>(byte ^ 0x40);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, offset), 1);
  }
  off_t Size() {
    struct stat info = {};
    EXPECT_EQ(::fstatat(bundle_.get(), kFileName, &info, 0), 0);
    return info.st_size;
  }

  std::string path_;
  UniqueFd bundle_;
};

TEST_F(JournalTest, NewJournalNamesTheShimAndAnAddedInit) {
  MakeWriter();
  const auto state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(state->this_boot);
  EXPECT_EQ(state->header.namespace_name, "ns");
  EXPECT_EQ(state->header.container_id, "c");
  EXPECT_EQ(state->header.shim.pid, 7);
  EXPECT_EQ(state->header.shim.start_time_ticks, 8u);
  EXPECT_EQ(state->init.stage, Stage::kAdded);
  EXPECT_TRUE(state->execs.empty());
  EXPECT_TRUE(state->resources.cgroup_paths.empty());
}

TEST_F(JournalTest, LastRecordOfAProcessIsItsState) {
  auto writer = MakeWriter();
  ASSERT_TRUE(
      writer->SetResources({.cgroup_paths = {"/sys/fs/cgroup/cpu/x", "/sys/fs/cgroup/memory/x"}})
          .ok());
  for (const Stage stage : {Stage::kCreating, Stage::kCreated, Stage::kRunning}) {
    ASSERT_TRUE(writer->Write({.exec_id = "", .stage = stage, .process = {100, 200}}).ok());
  }
  const absl::Time exited_at = absl::FromUnixNanos(1700000000123456789);
  ASSERT_TRUE(writer
                  ->Write({.exec_id = "",
                           .stage = Stage::kExited,
                           .process = {100, 200},
                           .exit_status = 137,
                           .exited_at = exited_at,
                           .exit_announced = true})
                  .ok());
  const auto state = ReadJournal(path_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->init.stage, Stage::kExited);
  EXPECT_EQ(state->init.process.pid, 100);
  EXPECT_EQ(state->init.process.start_time_ticks, 200u);
  EXPECT_EQ(state->init.exit_status, 137u);
  EXPECT_EQ(state->init.exited_at, exited_at);
  EXPECT_TRUE(state->init.exit_announced);
  EXPECT_FALSE(state->init.delete_announced);
  EXPECT_EQ(state->resources.cgroup_paths.size(), 2u);
}

TEST_F(JournalTest, ResourcesKeepWhatInitWasMadeWith) {
  auto writer = MakeWriter();
  EXPECT_FALSE(ReadJournal(bundle_)->resources.stdio.has_value());
  Resources resources{.cgroup_paths = {"/sys/fs/cgroup/cpu/x"},
                      .stdio = Stdio{.in = "/run/in", .out = "file:///o", .terminal = true}};
  ASSERT_TRUE(writer->SetResources(resources).ok());
  auto state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_TRUE(state->resources.stdio.has_value());
  EXPECT_EQ(state->resources.stdio->in, "/run/in");
  EXPECT_EQ(state->resources.stdio->out, "file:///o");
  EXPECT_EQ(state->resources.stdio->err, "");
  EXPECT_TRUE(state->resources.stdio->terminal);
  // Control groups are what must be found again; names that leave no room for the rest go.
  resources.stdio->err = std::string(kResourcesBytes, 'e');
  ASSERT_TRUE(writer->SetResources(resources).ok());
  state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_FALSE(state->resources.stdio.has_value());
  EXPECT_EQ(state->resources.cgroup_paths.size(), 1u);
  resources.cgroup_paths[0] = std::string(kResourcesBytes, 'c');
  EXPECT_EQ(writer->SetResources(resources).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(JournalTest, TheHeadIsAllButExecs) {
  EXPECT_EQ(ReadJournalHead(path_).status().code(), absl::StatusCode::kNotFound);
  auto writer = MakeWriter();
  ASSERT_TRUE(writer->SetResources({.cgroup_paths = {"/a"}}).ok());
  ASSERT_TRUE(writer->Write({.exec_id = "", .stage = Stage::kRunning}).ok());
  ASSERT_TRUE(writer->Write({.exec_id = "exec", .stage = Stage::kRunning}).ok());
  const auto head = ReadJournalHead(path_);
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_TRUE(head->this_boot);
  EXPECT_EQ(head->header.container_id, "c");
  EXPECT_EQ(head->resources.cgroup_paths.size(), 1u);
  EXPECT_EQ(head->init.stage, Stage::kRunning);
  EXPECT_TRUE(head->execs.empty());
  ASSERT_TRUE(ReplaceFileAt(bundle_, kFileName, "short", 0600, Durability::kUnsynced).ok());
  EXPECT_EQ(ReadJournalHead(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(JournalTest, InitCanBeReadAlone) {
  EXPECT_EQ(ReadInit(path_).status().code(), absl::StatusCode::kNotFound);
  auto writer = MakeWriter();
  EXPECT_EQ(ReadInit(path_)->stage, Stage::kAdded);
  ASSERT_TRUE(writer
                  ->Write({.exec_id = "",
                           .stage = Stage::kRunning,
                           .process = {100, 200},
                           .paused = true,
                           .generation = 3})
                  .ok());
  const auto init = ReadInit(path_);
  ASSERT_TRUE(init.ok()) << init.status();
  EXPECT_EQ(init->stage, Stage::kRunning);
  EXPECT_EQ(init->process.pid, 100);
  EXPECT_TRUE(init->paused);
  EXPECT_EQ(init->generation, 3u);
  ASSERT_TRUE(ReplaceFileAt(bundle_, kFileName, "short", 0600, Durability::kUnsynced).ok());
  EXPECT_EQ(ReadInit(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Crc32Test, IsThatOfIeee) {
  EXPECT_EQ(Crc32(""), 0u);
  EXPECT_EQ(Crc32("123456789"), 0xcbf43926u);  // the check value that catalogues give
  // Every length of the rest behind the eights, against the bitwise definition.
  std::string bytes;
  for (int i = 0; i < 40; ++i) {
    bytes.push_back(static_cast<char>(i * 37));
    uint32_t expected = ~0u;
    for (const char byte : bytes) {
      expected ^= static_cast<uint8_t>(byte);
      for (int bit = 0; bit < 8; ++bit) {
        expected = expected >> 1 ^ (0xedb88320u & (0u - (expected & 1)));
      }
    }
    EXPECT_EQ(Crc32(bytes), ~expected) << bytes.size();
  }
}

TEST_F(JournalTest, TornWriteLeavesTheRecordBefore) {
  auto writer = MakeWriter();                                                  // sequence 1
  ASSERT_TRUE(writer->Write({.exec_id = "", .stage = Stage::kCreated}).ok());  // 2: the first copy
  Damage(kSlotsOffset + 20);
  const auto state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->init.stage, Stage::kAdded);
}

TEST_F(JournalTest, DamageIsFound) {
  auto writer = MakeWriter();
  ASSERT_TRUE(writer->SetResources({.cgroup_paths = {"/a"}}).ok());
  Damage(kHeaderBytes + 8);
  EXPECT_EQ(ReadJournal(bundle_).status().code(), absl::StatusCode::kDataLoss);
  Damage(kHeaderBytes + 8);
  Damage(40);
  EXPECT_EQ(ReadJournal(bundle_).status().code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(ReplaceFileAt(bundle_, kFileName, "short", 0600, Durability::kUnsynced).ok());
  EXPECT_EQ(ReadJournal(bundle_).status().code(), absl::StatusCode::kDataLoss);
  ::unlinkat(bundle_.get(), kFileName, 0);
  EXPECT_EQ(ReadJournal(bundle_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(JournalTest, NewerMajorVersionIsRefused) {
  MakeWriter();
  Damage(12);  // the low byte of the major version, behind CRC and magic
  EXPECT_EQ(ReadJournal(bundle_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(JournalTest, ExecsComeAndGoWithoutGrowingTheFile) {
  auto writer = MakeWriter();
  const off_t before = Size();
  for (int i = 0; i < 1000; ++i) {
    const std::string id = "exec-" + std::to_string(i);
    ASSERT_TRUE(writer->Write({.exec_id = id, .stage = Stage::kAdded}).ok());
    ASSERT_TRUE(writer->Write({.exec_id = id, .stage = Stage::kExited, .exit_status = 3}).ok());
    if (i < 999) {
      ASSERT_TRUE(writer->Forget(id).ok());
    }
  }
  EXPECT_EQ(Size(), before);
  const auto state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_EQ(state->execs.size(), 1u);
  EXPECT_EQ(state->execs[0].exec_id, "exec-999");
  EXPECT_EQ(state->execs[0].exit_status, 3u);
}

TEST_F(JournalTest, FileGrowsForManyExecsAtATime) {
  auto writer = MakeWriter();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(
        writer
            ->Write({.exec_id = std::string(76, 'a') + std::to_string(i), .stage = Stage::kRunning})
            .ok());
  }
  EXPECT_EQ(ReadJournal(bundle_)->execs.size(), 100u);
}

TEST_F(JournalTest, EarlierGenerationsAreKeptInOrderUntilTheyAreForgotten) {
  const auto writer = MakeWriter();
  ASSERT_TRUE(writer->Write({.exec_id = "", .stage = Stage::kRunning, .generation = 12}).ok());
  for (const uint32_t generation : {10u, 9u, 11u}) {
    ASSERT_TRUE(writer
                    ->Write({.exec_id = absl::StrCat(kGenerationPrefix, generation),
                             .stage = Stage::kExited,
                             .exit_status = generation,
                             .exit_announced = generation == 9,
                             .generation = generation})
                    .ok());
  }
  ASSERT_TRUE(writer->Forget(absl::StrCat(kGenerationPrefix, 10)).ok());
  const auto state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->init.generation, 12u);
  EXPECT_TRUE(state->execs.empty());
  ASSERT_EQ(state->generations.size(), 2u);
  EXPECT_EQ(state->generations[0].exit_status, 9u);
  EXPECT_TRUE(state->generations[0].exit_announced);
  EXPECT_EQ(state->generations[1].exit_status, 11u);
  EXPECT_EQ(state->generations[1].exec_id, "");
}

TEST_F(JournalTest, TextsThatDoNotFitAreRefused) {
  auto writer = MakeWriter();
  EXPECT_EQ(writer->SetResources({.cgroup_paths = {std::string(8000, 'x')}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(writer->Write({.exec_id = std::string(250, 'x'), .stage = Stage::kAdded}).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(JournalFormatTest, CrcIsTheCommonOne) { EXPECT_EQ(Crc32("123456789"), 0xcbf43926u); }

TEST_F(JournalTest, AnotherWriterGoesOnWhereTheFirstStopped) {
  auto first = MakeWriter();
  ASSERT_TRUE(first->Write({.exec_id = "", .stage = Stage::kRunning, .process = {10, 20}}).ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(first->Write({.exec_id = absl::StrCat("e", i), .stage = Stage::kAdded}).ok());
  }
  ASSERT_TRUE(first->Forget("e3").ok());
  const Header ours{.boot_id = "", .namespace_name = "ns", .container_id = "c", .shim = {7, 8}};
  UniqueFd file = *DupFd(first->file());
  first.reset();
  auto second = Writer::Resume(std::move(file), ours);
  ASSERT_TRUE(second.ok()) << second.status();
  const off_t size = Size();
  // An exec that is known, one in the freed slot, and the rest of those that were allocated.
  ASSERT_TRUE((*second)->Write({.exec_id = "e5", .stage = Stage::kExited, .exit_status = 5}).ok());
  ASSERT_TRUE((*second)->Write({.exec_id = "new", .stage = Stage::kAdded}).ok());
  for (int i = 0; i < 11; ++i) {
    ASSERT_TRUE((*second)->Write({.exec_id = absl::StrCat("n", i), .stage = Stage::kAdded}).ok());
  }
  EXPECT_EQ(Size(), size);
  ASSERT_TRUE((*second)->Write({.exec_id = "", .stage = Stage::kExited, .exit_status = 9}).ok());
  const auto state = ReadJournal(bundle_);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->init.exit_status, 9u);
  EXPECT_EQ(state->execs.size(), 19u + 12u);
  size_t found = 0;
  for (const ProcessRecord& exec : state->execs) {
    found += exec.exec_id == "new" || (exec.exec_id == "e5" && exec.exit_status == 5);
    EXPECT_NE(exec.exec_id, "e3");
  }
  EXPECT_EQ(found, 2u);
}

TEST_F(JournalTest, AnotherShimsJournalIsNotGoneOnWith) {
  const auto writer = MakeWriter();
  const auto resume = [&](const Header& expected) {
    return Writer::Resume(*DupFd(writer->file()), expected).status();
  };
  EXPECT_TRUE(
      resume({.boot_id = "", .namespace_name = "ns", .container_id = "c", .shim = {7, 8}}).ok());
  for (const Header& other :
       {Header{.boot_id = "", .namespace_name = "ns", .container_id = "d", .shim = {7, 8}},
        Header{.boot_id = "", .namespace_name = "xx", .container_id = "c", .shim = {7, 8}},
        Header{.boot_id = "", .namespace_name = "ns", .container_id = "c", .shim = {7, 9}},
        Header{.boot_id = "", .namespace_name = "ns", .container_id = "c", .shim = {6, 8}}}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(resume(other)));
  }
  Damage(4);
  EXPECT_FALSE(
      resume({.boot_id = "", .namespace_name = "ns", .container_id = "c", .shim = {7, 8}}).ok());
}

}  // namespace
}  // namespace berth::journal
