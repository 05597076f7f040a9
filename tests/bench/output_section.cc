// What a container's standard output carries: to a FIFO that the client reads, to a file, to a log.
#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "tests/bench/sections.h"

namespace berth::bench {
namespace {

constexpr int kMegabytes = 512;
constexpr int kLogMegabytes = 64;

std::string DdOfZeros() {
  return absl::StrCat("dd if=/dev/zero bs=65536 count=", kMegabytes * 16, " 2>/dev/null");
}

// Lines of 100 bytes, a megabyte of them again and again.
std::string Lines() {
  return absl::StrCat(
      "l=0123456789; l=$l$l$l$l$l$l$l$l$l$l; i=0; while [ $i -lt 10000 ]; do echo ${l#?}; "
      "i=$((i+1)); done >/run/lines; i=0; while [ $i -lt ",
      kLogMegabytes, " ]; do dd if=/run/lines bs=65536 2>/dev/null; i=$((i+1)); done");
}

absl::StatusOr<double> Rate(Server& server, int turn, const std::string& script, int megabytes,
                            const std::string& output) {
  ContainerOptions options{{"/bin/sh", "-c", script}};
  options.standard_output = output;
  options.standard_error = absl::StrContains(output, "://") ? output : "/dev/null";
  BERTH_ASSIGN_OR_RETURN(const LifeTimes times,
                         server.Run(absl::StrCat("bench-output-", turn), options));
  const absl::Duration wrote = times.steps[static_cast<size_t>(Step::kStart)] +
                               times.steps[static_cast<size_t>(Step::kExit)];
  return megabytes * 1.048576 / absl::ToDoubleSeconds(wrote);
}

// Reads what comes out of a FIFO, in a thread of its own, until no writer is left.
class FifoReader {
 public:
  explicit FifoReader(std::string path) : path_(std::move(path)) {}
  ~FifoReader() {
    if (!thread_.joinable()) return;
    // Nobody may have come to write: the open of the thread returns for this one.
    { const auto writer = OpenFile(path_, O_WRONLY | O_NONBLOCK); }
    thread_.join();
    ::unlink(path_.c_str());
  }
  absl::Status Start() {
    if (::mkfifo(path_.c_str(), 0600) != 0) return ErrnoStatus(errno, "mkfifo ", path_);
    thread_ = std::thread([this] {
      const auto fifo = OpenFile(path_, O_RDONLY);
      if (!fifo.ok()) return;
      std::string buffer(1 << 18, '\0');
      while (::read(fifo->get(), buffer.data(), buffer.size()) > 0) {
      }
    });
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  std::thread thread_;
};

absl::StatusOr<Servers::Values> RunTurn(Server& server, int turn, const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", server.label(), "-", turn);
  double fifo_rate = 0;
  {
    FifoReader reader(absl::StrCat(path, ".fifo"));
    BERTH_RETURN_IF_ERROR(reader.Start());
    BERTH_ASSIGN_OR_RETURN(
        fifo_rate, Rate(server, turn, DdOfZeros(), kMegabytes, absl::StrCat(path, ".fifo")));
  }
  BERTH_ASSIGN_OR_RETURN(const double file_rate, Rate(server, turn, DdOfZeros(), kMegabytes,
                                                      absl::StrCat("file://", path, ".out")));
  ::unlink(absl::StrCat(path, ".out").c_str());
  return Servers::Values{{fifo_rate}, {file_rate}};
}

}  // namespace

absl::Status MeasureOutput(const Servers& servers, const Plan& plan, const std::string& directory,
                           Report* report) {
  Measure fifo("output through a FIFO", "MB/s", Better::kHigher);
  fifo.target = {Target::Of::kRatioAtLeast, 1.5};
  Measure file("output to a file:// log", "MB/s", Better::kHigher);
  file.target = {Target::Of::kRatioAtLeast, 1.5};
  Measure log("lines to a json-file log", "MB/s", Better::kHigher);
  log.peer = "";
  for (int turn = 0; turn < Servers::kWarmUpTurns + plan.few_turns; ++turn) {
    BERTH_RETURN_IF_ERROR(servers.Turn(
        turn, [&](Server& server) { return RunTurn(server, turn, directory); }, {&fifo, &file}));
    BERTH_ASSIGN_OR_RETURN(const double rate,
                           Rate(servers.berthd(), turn, Lines(), kLogMegabytes,
                                absl::StrCat("berth-log://", directory, "/lines.log")));
    if (turn >= Servers::kWarmUpTurns) log.AddTurn({rate}, {});
  }
  report->Add(std::move(fifo));
  report->Add(std::move(file));
  report->Add(std::move(log));
  return absl::OkStatus();
}

}  // namespace berth::bench
