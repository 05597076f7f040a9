#include "server/api/copy_calls.h"

#include <sys/statvfs.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/grpc/bidi.h"
#include "base/grpc/server_stream.h"
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

// One upload: the first request opens the directory, the others are pieces of the archive.
class CopyInSession final : public BidiSession<v1::CopyInRequest, v1::CopyInResponse> {
 public:
  CopyInSession(engine::Engine& engine, CallInfo call) : engine_(engine), call_(std::move(call)) {}

  absl::StatusOr<BidiNext> Handle(const v1::CopyInRequest& request, v1::CopyInResponse&) override {
    if (!extract_.has_value()) {
      if (!request.has_open()) return absl::InvalidArgumentError("the first request must open");
      BERTH_RETURN_IF_ERROR(Open(request.open()));
      return BidiNext::kRead;
    }
    if (request.has_open()) return absl::InvalidArgumentError("only the first request opens");
    if (request.data().size() > kMaxPieceBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a piece of an archive has at most ", kMaxPieceBytes, " bytes"));
    }
    BERTH_RETURN_IF_ERROR(reader_->Feed(request.data()));
    return BidiNext::kRead;
  }

  absl::Status OnEndOfRequests() override {
    if (!extract_.has_value()) return absl::InvalidArgumentError("nothing was opened");
    BERTH_RETURN_IF_ERROR(reader_->Finish());
    return extract_->Finish();
  }

 private:
  absl::Status Open(const v1::CopyInRequest::Open& open) {
    BERTH_ASSIGN_OR_RETURN(const metadata::Caller caller, CallerOf(call_));
    BERTH_ASSIGN_OR_RETURN(const engine::ContainerKey key,
                           KeyOf(engine_, caller, open.container()));
    BERTH_ASSIGN_OR_RETURN(ContainerFiles files, engine::OpenToWrite(engine_, key, open.path()));
    files_.emplace(std::move(files));
    files_->path.wants_directory = true;
    BERTH_ASSIGN_OR_RETURN(const UniqueFd directory,
                           engine::OpenContainerPath(files_->root, files_->path, open.container()));
    struct statvfs status = {};
    const bool is_read_only =
        ::fstatvfs(directory.get(), &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
    if (files_->is_read_only || is_read_only) {
      return absl::FailedPreconditionError(
          absl::StrCat(files_->mount.empty() ? "container rootfs is marked read-only"
                                             : "mounted volume is marked read-only",
                       ": ", open.path(), " of ", open.container(), " cannot be written"));
    }
    extract_.emplace(
        files_->root, files_->path.text,
        open.copy_uid_gid() ? TreeExtract::Owners::kArchived : TreeExtract::Owners::kRoot,
        open.no_overwrite_dir_non_dir() ? TreeExtract::Replacing::kSameKind
                                        : TreeExtract::Replacing::kAnything);
    reader_.emplace(*extract_);
    return absl::OkStatus();
  }

  engine::Engine& engine_;
  const CallInfo call_;
  std::optional<ContainerFiles> files_;
  std::optional<TreeExtract> extract_;
  std::optional<engine::TarReader> reader_;
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
