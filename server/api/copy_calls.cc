#include "server/api/copy_calls.h"

#include <sys/statvfs.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/grpc/bidi.h"
#include "base/grpc/executor.h"
#include "base/grpc/server_stream.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "server/api/caller_of.h"
#include "server/engine/container_files.h"
#include "server/engine/container_path.h"
#include "server/engine/tar_reader.h"
#include "server/engine/tree_archive.h"
#include "server/engine/tree_extract.h"

namespace berth {
namespace {

namespace v1 = engine::v1;
using engine::ContainerFiles;
using engine::TreeExtract;

constexpr size_t kMaxPieceBytes = 1 << 20;
constexpr absl::Duration kIdleLimit = absl::Minutes(1);

absl::StatusOr<engine::ContainerKey> KeyOf(engine::Engine& engine, const metadata::Caller& caller,
                                           const std::string& container) {
  BERTH_ASSIGN_OR_RETURN(std::string id, engine.table().Resolve(caller.ns, container));
  return engine::ContainerKey{caller.ns, std::move(id)};
}

struct FoundPath {
  ContainerFiles files;
  UniqueFd fd;
  v1::PathStat stat;
};

absl::StatusOr<FoundPath> Find(engine::Engine& engine, const metadata::Caller& caller,
                               const std::string& container, const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const engine::ContainerKey key, KeyOf(engine, caller, container));
  BERTH_ASSIGN_OR_RETURN(ContainerFiles files, engine::OpenToRead(engine, key, path));
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, engine::OpenContainerPath(files.root, files.path, container));
  BERTH_ASSIGN_OR_RETURN(v1::PathStat stat, engine::StatContainerPath(files.root, files.path, fd));
  if (!files.mount.empty() && !stat.link_target().empty()) {
    stat.set_link_target(absl::StrCat(files.mount, absl::StripSuffix(stat.link_target(), "/")));
  }
  return FoundPath{std::move(files), std::move(fd), std::move(stat)};
}

// One upload: the first request opens the directory, the others are pieces of the archive. A
// stopped container is locked meanwhile, so that a client which sends nothing any more loses its
// call.
class CopyInSession final : public BidiSession<v1::CopyInRequest, v1::CopyInResponse> {
 public:
  CopyInSession(engine::Engine& engine, CallInfo call)
      : engine_(engine), call_(std::move(call)), upload_(std::make_shared<Upload>()) {}
  ~CopyInSession() override {
    MutexLock lock(&upload_->mutex);
    upload_->Drop();
  }

  absl::StatusOr<BidiNext> Handle(const v1::CopyInRequest& request, v1::CopyInResponse&) override {
    MutexLock lock(&upload_->mutex);
    BERTH_RETURN_IF_ERROR(upload_->CheckTime());
    upload_->last = absl::Now();
    if (!upload_->extract.has_value()) {
      if (!request.has_open()) return absl::InvalidArgumentError("the first request must open");
      BERTH_RETURN_IF_ERROR(Open(request.open()));
      upload_->last = absl::Now();
      LookLater(engine_, upload_);
      return BidiNext::kRead;
    }
    if (request.has_open()) return absl::InvalidArgumentError("only the first request opens");
    if (request.data().size() > kMaxPieceBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a piece of an archive has at most ", kMaxPieceBytes, " bytes"));
    }
    BERTH_RETURN_IF_ERROR(upload_->reader->Feed(request.data()));
    upload_->last = absl::Now();
    return BidiNext::kRead;
  }

  absl::Status OnEndOfRequests() override {
    MutexLock lock(&upload_->mutex);
    BERTH_RETURN_IF_ERROR(upload_->CheckTime());
    if (!upload_->extract.has_value()) return absl::InvalidArgumentError("nothing was opened");
    BERTH_RETURN_IF_ERROR(upload_->reader->Finish());
    return upload_->extract->Finish();
  }

 private:
  // What the call holds, shared with the look at its time. The mutex orders the two.
  struct Upload {
    Mutex mutex;
    std::optional<ContainerFiles> files;
    std::optional<TreeExtract> extract;
    std::optional<engine::TarReader> reader;
    absl::Time last = absl::Now();
    bool is_late = false;

    void Drop() {
      reader.reset();
      extract.reset();
      files.reset();
    }
    absl::Status CheckTime() const {
      if (!is_late) return absl::OkStatus();
      return absl::DeadlineExceededError(absl::StrCat(
          "nothing of the archive came for ", absl::FormatDuration(kIdleLimit), ": it is over"));
    }
  };

  static void LookLater(engine::Engine& engine, std::weak_ptr<Upload> weak) {
    engine.lifecycle().RunAfter(kIdleLimit / 4, [&engine, weak = std::move(weak)] {
      // Taking the files away may wait for the disk: not on the loop.
      engine.parts().executor.PostContinuation([&engine, weak] {
        const std::shared_ptr<Upload> upload = weak.lock();
        if (upload == nullptr) return;
        MutexLock lock(&upload->mutex);
        if (!upload->extract.has_value()) return;
        if (absl::Now() - upload->last < kIdleLimit) return LookLater(engine, weak);
        upload->is_late = true;
        upload->Drop();
      });
    });
  }

  absl::Status Open(const v1::CopyInRequest::Open& open) {
    BERTH_ASSIGN_OR_RETURN(const metadata::Caller caller, CallerOf(call_));
    BERTH_ASSIGN_OR_RETURN(const engine::ContainerKey key,
                           KeyOf(engine_, caller, open.container()));
    BERTH_ASSIGN_OR_RETURN(ContainerFiles files, engine::OpenToWrite(engine_, key, open.path()));
    upload_->files.emplace(std::move(files));
    upload_->files->path.wants_directory = true;
    BERTH_ASSIGN_OR_RETURN(
        const UniqueFd directory,
        engine::OpenContainerPath(upload_->files->root, upload_->files->path, open.container()));
    struct statvfs status = {};
    const bool is_read_only =
        ::fstatvfs(directory.get(), &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
    if (upload_->files->is_read_only || is_read_only) {
      return absl::FailedPreconditionError(
          absl::StrCat(upload_->files->mount.empty() ? "container rootfs is marked read-only"
                                                     : "mounted volume is marked read-only",
                       ": ", open.path(), " of ", open.container(), " cannot be written"));
    }
    upload_->extract.emplace(
        upload_->files->root, upload_->files->path.text,
        open.copy_uid_gid() ? TreeExtract::Owners::kArchived : TreeExtract::Owners::kRoot,
        open.no_overwrite_dir_non_dir() ? TreeExtract::Replacing::kSameKind
                                        : TreeExtract::Replacing::kAnything);
    upload_->reader.emplace(*upload_->extract);
    return absl::OkStatus();
  }

  engine::Engine& engine_;
  const CallInfo call_;
  const std::shared_ptr<Upload> upload_;
};

}  // namespace

absl::StatusOr<v1::StatPathResponse> StatPathOf(engine::Engine& engine,
                                                const metadata::Caller& caller,
                                                const v1::StatPathRequest& request) {
  BERTH_ASSIGN_OR_RETURN(FoundPath found,
                         Find(engine, caller, request.container(), request.path()));
  v1::StatPathResponse response;
  *response.mutable_stat() = std::move(found.stat);
  return response;
}

grpc::ServerWriteReactor<v1::CopyOutResponse>* ServeCopyOut(grpc::CallbackServerContext* context,
                                                            engine::Engine& engine,
                                                            Executor& executor,
                                                            const v1::CopyOutRequest* request) {
  using Response = v1::CopyOutResponse;
  return PullStream<Response>(
      context, executor, request,
      [&engine](const CallInfo& call,
                const v1::CopyOutRequest& request) -> absl::StatusOr<StreamSource<Response>> {
        BERTH_ASSIGN_OR_RETURN(const metadata::Caller caller, CallerOf(call));
        BERTH_ASSIGN_OR_RETURN(FoundPath found,
                               Find(engine, caller, request.container(), request.path()));
        // The root stays open as long as what was found in it: a mount attached nowhere ends with
        // its last descriptor.
        auto archive =
            std::make_unique<engine::TreeArchive>(std::move(found.fd), found.stat.name());
        return StreamSource<Response>([files = std::move(found.files), stat = std::move(found.stat),
                                       archive = std::move(archive), is_told = false](
                                          Response& response) mutable -> absl::StatusOr<bool> {
          if (!is_told) {
            is_told = true;
            *response.mutable_stat() = std::move(stat);
            return true;
          }
          return archive->Next(*response.mutable_data());
        });
      });
}

grpc::ServerBidiReactor<v1::CopyInRequest, v1::CopyInResponse>* ServeCopyIn(
    grpc::CallbackServerContext* context, engine::Engine& engine, Executor& executor) {
  return Bidi<v1::CopyInRequest, v1::CopyInResponse>(
      context, executor,
      [&engine](const CallInfo& call) { return std::make_unique<CopyInSession>(engine, call); });
}

}  // namespace berth
