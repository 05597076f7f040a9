// A shim without containers, for tests of the daemon's side: it keeps a real journal, speaks real
// ttrpc and is started as the real one is. Words in its config.json make it misbehave:
//
//   fail-create    Create answers INVALID_ARGUMENT      hang-create   Create is answered by Kill
//   only crash-create   it ends in Create                    deaf-create   Create is never answered
//   hang-start     Start is never answered              hang-state    State is never answered
//   fail-delete    the delete command fails while <bundle>/fail-delete exists
//   exit-7         init ends with 7 as soon as it is started
//   old-journal    its journal is without stdio
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/journal/journal.h"
#include "base/loop/loop.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/status/check.h"
#include "base/ttrpc/server.h"
#include "google/protobuf/empty.pb.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "server/task/time_proto.h"

namespace berth {
namespace {

using containerd::v1::types::Status;
using google::protobuf::Empty;
namespace api = containerd::task::v2;

constexpr int kListenerFd = 3;
constexpr int kBundleFd = 4;
constexpr char kService[] = "containerd.task.v2.Task";

struct Arguments {
  std::string ns, id, bundle, command;
};

Arguments Parse(int argc, char** argv) {
  Arguments parsed;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "-namespace" && has_value) {
      parsed.ns = argv[++i];
    } else if (word == "-id" && has_value) {
      parsed.id = argv[++i];
    } else if (word == "-bundle" && has_value) {
      parsed.bundle = argv[++i];
    } else if (word == "-address" && has_value) {
      ++i;
    } else {
      parsed.command = word;
    }
  }
  return parsed;
}

class FakeShim {
 public:
  FakeShim(Loop& loop, Arguments arguments)
      : loop_(loop), arguments_(std::move(arguments)), server_(loop) {
    const auto config = ReadFileAt(BorrowedFd(kBundleFd), "config.json");
    if (config.ok()) config_ = *config;
    journal::Header header;
    header.namespace_name = arguments_.ns;
    header.container_id = arguments_.id;
    header.shim = *ReadProcessIdentity(::getpid());
    auto writer = journal::Writer::Create(BorrowedFd(kBundleFd), header);
    BERTH_CHECK(writer.ok());
    journal_ = *std::move(writer);
    RegisterAll();
    BERTH_CHECK(server_.AddListener(UniqueFd(kListenerFd)).ok());
  }

 private:
  struct Process {
    journal::ProcessRecord record;
    std::vector<ttrpc::Call> waiting;
  };

  bool Told(const char* word) const { return absl::StrContains(config_, word); }

  template <typename Request, typename Handler>
  void On(const char* method, Handler handler) {
    server_.Register(kService, method, [handler = std::move(handler)](ttrpc::Call call) {
      Request request;
      BERTH_CHECK(request.ParseFromString(call.payload()));
      handler(std::move(call), request);
    });
  }

  void Record(Process& process, journal::Stage stage) {
    process.record.stage = stage;
    BERTH_CHECK(journal_->Write(process.record).ok());
  }

  Process* Find(const std::string& exec_id) {
    const auto found = processes_.find(exec_id);
    return found == processes_.end() ? nullptr : &found->second;
  }

  template <typename Request>
  Process* FindOrRefuse(ttrpc::Call& call, const Request& request) {
    Process* process = Find(request.exec_id());
    if (process == nullptr) call.Reply(absl::NotFoundError("process not found"));
    return process;
  }

  void Exit(Process& process, uint32_t status) {
    process.record.exit_status = status;
    process.record.exited_at = absl::Now();
    Record(process, journal::Stage::kExited);
    for (ttrpc::Call& call : std::exchange(process.waiting, {})) AnswerWait(call, process);
  }
  static void AnswerWait(ttrpc::Call& call, const Process& process) {
    api::WaitResponse response;
    response.set_exit_status(process.record.exit_status);
    *response.mutable_exited_at() = ToTimestamp(process.record.exited_at);
    call.Reply(response.SerializeAsString());
  }

  void RegisterAll() {
    On<api::CreateTaskRequest>("Create", [this](ttrpc::Call call, const auto& request) {
      created_from_ = request;
      Process& init = processes_[""];
      init.record.process = *ReadProcessIdentity(::getpid());
      Record(init, journal::Stage::kCreating);
      if (Told("crash-create")) {
        std::cerr << "fake shim gives up" << std::endl;
        ::_exit(3);
      }
      if (Told("fail-create")) {
        Record(init, journal::Stage::kAdded);
        processes_.clear();
        return call.Reply(absl::InvalidArgumentError("the spec is bad"));
      }
      if (Told("hang-create") || Told("deaf-create")) {
        creating_.emplace(std::move(call));
        return;
      }
      if (!Told("old-journal")) {
        const journal::Stdio stdio{.in = request.stdin(),
                                   .out = request.stdout(),
                                   .err = request.stderr(),
                                   .terminal = request.terminal()};
        BERTH_CHECK(journal_->SetResources({.cgroup_paths = {}, .stdio = stdio}).ok());
      }
      Record(init, journal::Stage::kCreated);
      api::CreateTaskResponse response;
      response.set_pid(static_cast<uint32_t>(init.record.process.pid));
      call.Reply(response.SerializeAsString());
    });
    On<api::StartRequest>("Start", [this](ttrpc::Call call, const auto& request) {
      Process* process = FindOrRefuse(call, request);
      if (process == nullptr) return;
      if (Told("hang-start") && request.exec_id().empty()) {
        starting_.emplace(std::move(call));
        return;
      }
      Record(*process, journal::Stage::kRunning);
      api::StartResponse response;
      response.set_pid(static_cast<uint32_t>(::getpid()));
      call.Reply(response.SerializeAsString());
      if (Told("exit-7") && request.exec_id().empty()) Exit(*process, 7);
    });
    On<api::ExecProcessRequest>("Exec", [this](ttrpc::Call call, const auto& request) {
      if (Find(request.exec_id()) != nullptr) {
        return call.Reply(absl::AlreadyExistsError("exec id in use"));
      }
      Process& exec = processes_[request.exec_id()];
      exec.record.exec_id = request.exec_id();
      exec.record.process = *ReadProcessIdentity(::getpid());
      Record(exec, journal::Stage::kAdded);
      call.Reply(Empty().SerializeAsString());
    });
    On<api::KillRequest>("Kill", [this](ttrpc::Call call, const auto& request) {
      if (creating_.has_value()) {
        if (Told("deaf-create")) return;
        creating_->Reply(absl::CancelledError("create was cancelled"));
        creating_.reset();
        return call.Reply(Empty().SerializeAsString());
      }
      Process* process = FindOrRefuse(call, request);
      if (process == nullptr) return;
      if (process->record.stage == journal::Stage::kExited) {
        return call.Reply(absl::NotFoundError("process already finished"));
      }
      Exit(*process, 128 + request.signal());
      call.Reply(Empty().SerializeAsString());
    });
    On<api::WaitRequest>("Wait", [this](ttrpc::Call call, const auto& request) {
      Process* process = FindOrRefuse(call, request);
      if (process == nullptr) return;
      if (process->record.stage == journal::Stage::kExited) return AnswerWait(call, *process);
      process->waiting.push_back(std::move(call));
    });
    On<api::StateRequest>("State", [this](ttrpc::Call call, const auto& request) {
      if (Told("hang-state")) {
        states_.push_back(std::move(call));
        return;
      }
      Process* process = FindOrRefuse(call, request);
      if (process == nullptr) return;
      api::StateResponse response;
      response.set_id(arguments_.id);
      response.set_exec_id(request.exec_id());
      response.set_pid(static_cast<uint32_t>(process->record.process.pid));
      response.set_stdout(created_from_.stdout());
      response.set_terminal(created_from_.terminal());
      const journal::Stage stage = process->record.stage;
      response.set_status(stage == journal::Stage::kExited    ? Status::STOPPED
                          : stage == journal::Stage::kRunning ? Status::RUNNING
                                                              : Status::CREATED);
      response.set_exit_status(process->record.exit_status);
      response.mutable_exited_at();
      if (stage == journal::Stage::kExited) {
        *response.mutable_exited_at() = ToTimestamp(process->record.exited_at);
      }
      call.Reply(response.SerializeAsString());
    });
    On<api::DeleteRequest>("Delete", [this](ttrpc::Call call, const auto& request) {
      Process* process = FindOrRefuse(call, request);
      if (process == nullptr) return;
      if (process->record.stage == journal::Stage::kRunning) {
        return call.Reply(absl::FailedPreconditionError("cannot delete a running process"));
      }
      api::DeleteResponse response;
      response.set_pid(static_cast<uint32_t>(process->record.process.pid));
      response.set_exit_status(process->record.exit_status);
      *response.mutable_exited_at() = ToTimestamp(process->record.exited_at);
      if (request.exec_id().empty()) {
        Record(*process, journal::Stage::kDeleted);
      } else {
        BERTH_CHECK(journal_->Forget(request.exec_id()).ok());
      }
      processes_.erase(request.exec_id());
      call.Reply(response.SerializeAsString());
    });
    On<api::StatsRequest>("Stats", [](ttrpc::Call call, const auto&) {
      api::StatsResponse response;
      response.mutable_stats()->set_type_url("io.containerd.cgroups.v1.Metrics");
      call.Reply(response.SerializeAsString());
    });
    On<api::PidsRequest>("Pids", [](ttrpc::Call call, const auto&) {
      api::PidsResponse response;
      response.add_processes()->set_pid(42);
      call.Reply(response.SerializeAsString());
    });
    for (const char* method : {"Pause", "Resume", "Update", "ResizePty", "CloseIO"}) {
      On<Empty>(method,
                [](ttrpc::Call call, const auto&) { call.Reply(Empty().SerializeAsString()); });
    }
    On<api::ShutdownRequest>("Shutdown", [this](ttrpc::Call call, const auto&) {
      call.Reply(Empty().SerializeAsString());
      if (processes_.empty()) loop_.Stop();
    });
  }

  Loop& loop_;
  const Arguments arguments_;
  std::string config_;
  std::unique_ptr<journal::Writer> journal_;
  std::map<std::string, Process> processes_;
  api::CreateTaskRequest created_from_;
  ttrpc::Server server_;
  std::optional<ttrpc::Call> creating_;
  std::optional<ttrpc::Call> starting_;
  std::vector<ttrpc::Call> states_;
};

int Serve(const Arguments& arguments) {
  auto loop = Loop::Create();
  BERTH_CHECK(loop.ok());
  FakeShim shim(**loop, arguments);
  BERTH_CHECK((*loop)->Run().ok());
  ::_exit(0);  // calls that hang are not answered
}

int Delete(const Arguments& arguments) {
  if (::access(absl::StrCat(arguments.bundle, "/fail-delete").c_str(), F_OK) == 0) {
    std::cerr << "told to fail" << std::endl;
    return 1;
  }
  const auto journal = journal::ReadJournal(arguments.bundle);
  api::DeleteResponse response;
  if (journal.ok()) response.set_pid(static_cast<uint32_t>(journal->init.process.pid));
  response.set_exit_status(137);
  *response.mutable_exited_at() = ToTimestamp(absl::Now());
  std::cout << response.SerializeAsString() << std::flush;
  return 0;
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) {
  const berth::Arguments arguments = berth::Parse(argc, argv);
  if (arguments.command == "-v") return 0;
  if (arguments.command == "delete") return berth::Delete(arguments);
  return berth::Serve(arguments);
}
