#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "shim/io/log_file.h"
#include "shim/io/log_format.h"
#include "shim/io/log_process.h"

namespace berth::io {
namespace {

constexpr struct timespec kTime = {.tv_sec = 1700000000, .tv_nsec = 5};

std::string Json(absl::string_view text) {
  std::string out;
  AppendJsonRecord(LogStream::kOut, text, kTime, out);
  return out;
}

TEST(LogFormatTest, JsonRecordIsDockers) {
  EXPECT_EQ(Json("hello\n"),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\","
            "\"time\":\"2023-11-14T22:13:20.000000005Z\"}\n");
  std::string out;
  AppendJsonRecord(LogStream::kErr, "x", kTime, out);
  EXPECT_NE(out.find("\"log\":\"x\",\"stream\":\"stderr\""), std::string::npos) << out;
}

TEST(LogFormatTest, JsonTextIsEscapedAndAlwaysUtf8) {
  const auto text_of = [](absl::string_view text) {
    const std::string record = Json(text);
    return record.substr(8, record.find("\",\"stream\"") - 8);
  };
  EXPECT_EQ(text_of("a\"\\\t\r\x01\x7f"), "a\\\"\\\\\\t\\r\\u0001\x7f");
  EXPECT_EQ(text_of("<&>"), "\\u003c\\u0026\\u003e");
  EXPECT_EQ(text_of("ä€😀"), "ä€😀");
  EXPECT_EQ(text_of("\xff|\xc3|\xe2\x82|\xed\xa0\x80|\xc0\xaf"),
            "\\ufffd|\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd");
  EXPECT_EQ(text_of("\xe2\x80\xa8"), "\\u2028");
  EXPECT_EQ(text_of(absl::string_view("\0", 1)), "\\u0000");
}

TEST(LogFormatTest, CriRecordSaysWhetherItsLineGoesOn) {
  std::string out;
  AppendCriRecord(LogStream::kErr, "whole\n", kTime, out);
  AppendCriRecord(LogStream::kOut, "part", kTime, out);
  EXPECT_EQ(out,
            "2023-11-14T22:13:20.000000005Z stderr F whole\n"
            "2023-11-14T22:13:20.000000005Z stdout P part\n");
}

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    loop_ = *Loop::Create();
    std::string path = ::testing::TempDir() + "/log.XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    directory_ = path;
    log_ = absl::StrCat(directory_, "/c.log");
  }
  void TearDown() override { (void)RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_); }

  std::string Contents(absl::string_view suffix = "") {
    const auto text = ReadFile(absl::StrCat(log_, suffix));
    return text.ok() ? *text : std::string("missing");
  }
  template <typename Condition>
  bool RunUntil(Condition done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    for (;;) {
      if (done()) return true;
      if (absl::Now() > deadline) return false;
      EXPECT_TRUE(loop_->RunOnce(absl::Milliseconds(5)).ok());
    }
  }
  static absl::StatusOr<Forked> ForkNow() {
    Forked forked;
    forked.pid = ::fork();
    if (forked.pid > 0) {
      last_pid_ = forked.pid;
      forked.pidfd = *OpenPidFd(forked.pid);
    }
    return forked;
  }
  absl::Status Start(LogOptions options) {
    std::optional<absl::Status> ready;
    auto process = LogProcess::Start(*loop_,
                                     {.log = options,
                                      .out_path = log_,
                                      .err_path = log_,
                                      .ready_timeout = absl::Seconds(10),
                                      .fork = ForkNow},
                                     [&](absl::Status status) { ready = std::move(status); });
    if (!process.ok()) return process.status();
    process_ = *std::move(process);
    EXPECT_TRUE(RunUntil([&] { return ready.has_value(); }));
    out_ = process_->TakeOut();
    err_ = process_->TakeErr();
    return ready.value_or(absl::InternalError("no answer"));
  }
  absl::Duration End(absl::Duration limit = absl::Seconds(15)) {
    const absl::Time begin = absl::Now();
    out_.Reset();
    err_.Reset();
    bool ended = false;
    process_->End(limit, [&] { ended = true; });
    EXPECT_TRUE(RunUntil([&] { return ended; }));
    return absl::Now() - begin;
  }

  static inline pid_t last_pid_ = 0;
  std::unique_ptr<Loop> loop_;
  std::string directory_;
  std::string log_;
  std::unique_ptr<LogProcess> process_;
  UniqueFd out_, err_;
};

TEST_F(LogTest, RotationKeepsSoManyFilesAndLosesOnlyTheOldest) {
  auto log = LogFile::Open({.path = log_, .max_size_bytes = 10, .max_files = 3});
  ASSERT_TRUE(log.ok()) << log.status();
  for (const char* record : {"11111\n", "22222\n", "33333\n", "44444\n"}) {
    ASSERT_TRUE(log->Append(record).ok());
  }
  EXPECT_EQ(Contents(), "44444\n");
  EXPECT_EQ(Contents(".1"), "33333\n");
  EXPECT_EQ(Contents(".2"), "22222\n");
  EXPECT_EQ(Contents(".3"), "missing");
  EXPECT_EQ(log->rotations(), 3u);
  ASSERT_TRUE(log->Append("555\n").ok());  // 6 + 4 bytes fit
  EXPECT_EQ(Contents(), "44444\n555\n");
}

TEST_F(LogTest, OneFileIsReplacedByANewOne) {
  auto log = LogFile::Open({.path = log_, .max_size_bytes = 10, .max_files = 1});
  ASSERT_TRUE(log->Append("11111\n").ok());
  const UniqueFd reader = *OpenFile(log_, O_RDONLY);
  ASSERT_TRUE(log->Append("22222\n").ok());
  EXPECT_EQ(Contents(), "22222\n");
  EXPECT_EQ(*ReadAll(reader, 100), "11111\n");  // a reader that has it open reads it to its end
}

TEST_F(LogTest, WhatAKilledWriterLeftIsRepairedAtTheNextOpen) {
  // Killed within a record, and between the renames of a rotation: number 1 is missing.
  ASSERT_TRUE(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), log_, "whole\nhal", 0640, Durability::kUnsynced).ok());
  ASSERT_TRUE(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), log_ + ".2", "older\n", 0640, Durability::kUnsynced)
          .ok());
  auto log = LogFile::Open({.path = log_, .max_size_bytes = 12, .max_files = 4});
  ASSERT_TRUE(log->Append("next\n").ok());
  EXPECT_EQ(Contents(), "whole\nnext\n");
  ASSERT_TRUE(log->Append("later\n").ok());
  EXPECT_EQ(Contents(), "later\n");
  EXPECT_EQ(Contents(".1"), "whole\nnext\n");
  EXPECT_EQ(Contents(".3"), "older\n");
}

TEST_F(LogTest, RotationThatGotOnlyHalfwayIsNotDoneTwice) {
  auto log = LogFile::Open({.path = log_, .max_size_bytes = 10, .max_files = 4});
  ASSERT_TRUE(log->Append("11111\n").ok());
  // As when the renames succeeded and the new file could not be made.
  ASSERT_EQ(::rename(log_.c_str(), (log_ + ".1").c_str()), 0);
  ASSERT_TRUE(log->Append("22222\n").ok());
  EXPECT_EQ(Contents(), "22222\n");
  EXPECT_EQ(Contents(".1"), "11111\n");
}

TEST_F(LogTest, BothStreamsReachOneFileAndStayApart) {
  ASSERT_TRUE(Start(LogOptions()).ok());
  ASSERT_TRUE(WriteAll(out_, "one\ntwo").ok());
  ASSERT_TRUE(RunUntil([&] { return process_->counters().records.load() == 1; }));
  ASSERT_TRUE(WriteAll(err_, "problem\n").ok());
  ASSERT_TRUE(RunUntil([&] { return process_->counters().records.load() == 2; }));
  ASSERT_TRUE(WriteAll(out_, " more\nlast").ok());
  End();
  const std::string text = Contents();
  std::string order;
  for (const char* part :
       {"\"one\\n\",\"stream\":\"stdout\"", "\"problem\\n\",\"stream\":\"stderr\"",
        "\"two more\\n\",\"stream\":\"stdout\"", "\"last\",\"stream\":\"stdout\""}) {
    const size_t at = text.find(part);
    ASSERT_NE(at, std::string::npos) << part << " in " << text;
    absl::StrAppend(&order, at, " ");
  }
  EXPECT_EQ(process_->counters().records.load(), 4u);
  EXPECT_EQ(process_->counters().bytes.load(), text.size());
}

TEST_F(LogTest, LongLineIsSeveralRecords) {
  ASSERT_TRUE(Start({.format = LogFormat::kCri}).ok());
  ASSERT_TRUE(WriteAll(out_, std::string(kMaxRecordText + 10, 'x') + "\n").ok());
  End();
  const std::string text = Contents();
  EXPECT_NE(text.find(absl::StrCat(" stdout P ", std::string(kMaxRecordText, 'x'), "\n")),
            std::string::npos);
  EXPECT_NE(text.find(absl::StrCat(" stdout F ", std::string(10, 'x'), "\n")), std::string::npos);
}

TEST_F(LogTest, WritesOnAfterTheShimHasGone) {
  ASSERT_TRUE(Start({.format = LogFormat::kRaw}).ok());
  ASSERT_TRUE(WriteAll(out_, "written before the end\n").ok());
  ASSERT_EQ(::kill(last_pid_, SIGSTOP), 0);
  ASSERT_TRUE(WriteAll(out_, "and in the pipe\n").ok());
  const UniqueFd pidfd = *OpenPidFd(last_pid_);
  process_.reset();  // as the shim's end does: nobody kills the writer
  out_.Reset();
  err_.Reset();
  ASSERT_EQ(::kill(last_pid_, SIGCONT), 0);
  ASSERT_TRUE(RunUntil([&] { return Contents() == "written before the end\nand in the pipe\n"; }));
}

TEST_F(LogTest, StalledWriterFillsItsPipeAndIsKilledAtTheEnd) {
  ASSERT_TRUE(Start({.mode = LogMode::kNonBlocking, .max_buffer_bytes = 1 << 20}).ok());
  ASSERT_EQ(::kill(last_pid_, SIGSTOP), 0);  // stands for a filesystem that hangs
  ASSERT_EQ(::fcntl(out_.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string chunk(64 << 10, 'x');
  size_t taken = 0;
  for (ssize_t got = 0; (got = ::write(out_.get(), chunk.data(), chunk.size())) > 0;) taken += got;
  EXPECT_EQ(taken, size_t{1} << 20);
  EXPECT_LT(End(absl::Milliseconds(50)), absl::Seconds(5));
}

TEST_F(LogTest, FullDiskIsCountedAndDoesNotStopTheContainer) {
  log_ = "/dev/full";
  ASSERT_TRUE(Start({.format = LogFormat::kRaw}).ok());
  ASSERT_TRUE(WriteAll(out_, std::string(200'000, 'x')).ok());
  End();
  EXPECT_EQ(process_->counters().dropped_bytes.load(), 200'000u);
  EXPECT_EQ(process_->counters().last_errno.load(), ENOSPC);
}

TEST_F(LogTest, LogThatCannotBeOpenedIsAnError) {
  log_ = "/proc/no/log";
  const absl::Status status = Start(LogOptions());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_NE(status.message().find("/proc/no"), std::string::npos) << status;
}

}  // namespace
}  // namespace berth::io
