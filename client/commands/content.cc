// berth content: blobs by digest.
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/verbs.h"
#include "client/sdk/content_client.h"
#include "client/sdk/quantities.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

struct ContentArguments {
  std::string format = "table";
  bool is_quiet = false;
  std::string expected_digest;
  std::string file;
  std::vector<std::string> labels;
  std::vector<std::string> filters;
  std::vector<std::string> rest;
};

absl::StatusOr<int> ListBlobs(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<BlobInfo> blobs,
                         ContentClient(connection).List(arguments.filters));
  if (arguments.is_quiet) {
    for (const BlobInfo& blob : blobs) PrintText(absl::StrCat(blob.digest(), "\n"));
    return kExitOk;
  }
  Listing listing;
  listing.AddColumn("DIGEST", "digest");
  listing.AddColumn("SIZE", "size");
  listing.AddColumn("AGE", "created_at");
  listing.AddColumn("LABELS", "labels", Listing::Fit::kMayBeCut);
  for (const BlobInfo& blob : blobs) {
    const absl::Time created = FromProto(blob.created_at());
    listing.AddRow({Cell(blob.digest()), Cell(FormatBytes(blob.size()), Json(blob.size())),
                    Cell(FormatAge(absl::Now() - created), FormatMoment(created)),
                    Cell(FormatLabels(blob.labels()), LabelsDocument(blob.labels()))});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> ListUploads(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<UploadStatus> uploads,
                         ContentClient(connection).ListUploads());
  Listing listing;
  listing.AddColumn("REF", "ref", Listing::Fit::kMayBeCut);
  listing.AddColumn("SIZE", "offset");
  listing.AddColumn("AGE", "started_at");
  for (const UploadStatus& upload : uploads) {
    const absl::Time started = FromProto(upload.started_at());
    listing.AddRow({Cell(upload.ref()), Cell(FormatBytes(upload.offset()), Json(upload.offset())),
                    Cell(FormatAge(absl::Now() - started), FormatMoment(started))});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> GetBlob(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  UniqueFd file;
  if (!arguments.file.empty()) {
    BERTH_ASSIGN_OR_RETURN(file, OpenFile(arguments.file, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  }
  const BorrowedFd sink = file.valid() ? BorrowedFd(file) : BorrowedFd(STDOUT_FILENO);
  BERTH_RETURN_IF_ERROR(
      ContentClient(connection).Read(arguments.rest[0], [&](absl::string_view piece) {
        return WriteAll(sink, piece);
      }));
  return kExitOk;
}

// Uploads `input`, from where an earlier upload under the same ref stopped.
absl::Status Upload(BlobWriter& writer, BorrowedFd input) {
  const auto buffer = std::make_unique<char[]>(kPieceBytes);
  int64_t skip = writer.offset();
  for (;;) {
    const ssize_t count = ::read(input.get(), buffer.get(), kPieceBytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read the input");
    if (count == 0) break;
    absl::string_view piece(buffer.get(), static_cast<size_t>(count));
    const size_t skipped = static_cast<size_t>(std::min<int64_t>(skip, count));
    piece.remove_prefix(skipped);
    skip -= static_cast<int64_t>(skipped);
    BERTH_RETURN_IF_ERROR(writer.Write(piece));
  }
  if (skip > 0) {
    return absl::OutOfRangeError("the input is shorter than what was uploaded before");
  }
  return absl::OkStatus();
}

absl::StatusOr<int> IngestBlob(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.labels, 0));
  UniqueFd file;
  if (arguments.rest.size() > 1) {
    BERTH_ASSIGN_OR_RETURN(file, OpenFile(arguments.rest[1], O_RDONLY));
  }
  const BorrowedFd input = file.valid() ? BorrowedFd(file) : BorrowedFd(STDIN_FILENO);
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const ContentClient content(connection);
  auto writer =
      content.OpenWriter({.ref = arguments.rest[0], .expected_digest = arguments.expected_digest});
  if (absl::IsAlreadyExists(writer.status())) return kExitOk;
  BERTH_RETURN_IF_ERROR(writer.status()) << "open upload " << arguments.rest[0];
  BERTH_RETURN_IF_ERROR(Upload(**writer, input)) << "upload " << arguments.rest[0];
  const absl::Status committed = (*writer)->Commit(arguments.expected_digest, labels);
  if (!committed.ok() && !absl::IsAlreadyExists(committed)) {
    return Annotate(committed, absl::StrCat("commit upload ", arguments.rest[0]));
  }
  return kExitOk;
}

absl::StatusOr<int> LabelBlob(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.rest, 1));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(ContentClient(connection).SetLabels(arguments.rest[0], labels));
  return kExitOk;
}

absl::StatusOr<int> RemoveBlobs(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("content rm", arguments.rest, [&](const std::string& digest) {
    return ContentClient(connection).Delete(digest);
  });
}

absl::StatusOr<int> AbortUploads(const Context& context, const ContentArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("content abort", arguments.rest,
                 [&](const std::string& ref) { return ContentClient(connection).Abort(ref); });
}

}  // namespace

void AddContent(Command root, const Context& context) {
  auto arguments = std::make_shared<ContentArguments>();
  Command noun = root.Add("content", "Blobs");
  noun.Add("ls,list", "List blobs")
      .Option("-f,--filter", arguments->filters, "containerd's filters")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Digests only")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth content ls\n")
      .Do([&context, arguments] { return ListBlobs(context, *arguments); });
  noun.Add("active", "List uploads that are not finished")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth content active\n")
      .Do([&context, arguments] { return ListUploads(context, *arguments); });
  noun.Add("get", "Write a blob to standard output")
      .Option("-o,--output", arguments->file, "File to write instead")
      .Rest({"DIGEST", 1, 1}, arguments->rest)
      .Examples("  berth content get sha256:6a1f... > blob\n")
      .Do([&context, arguments] { return GetBlob(context, *arguments); });
  noun.Add("ingest", "Store standard input, or a file; goes on with an earlier upload of that ref")
      .Option("--expected-digest", arguments->expected_digest, "What the blob must be")
      .Option("-l,--label", arguments->labels, "KEY=value")
      .Rest({"REF [FILE]", 1, 2}, arguments->rest)
      .Examples("  berth content ingest my-upload layer.tar.gz\n")
      .Do([&context, arguments] { return IngestBlob(context, *arguments); });
  noun.Add("abort", "Throw unfinished uploads away")
      .Rest({"REF [REF...]", 1, -1}, arguments->rest)
      .Examples("  berth content abort upload-1\n")
      .Do([&context, arguments] { return AbortUploads(context, *arguments); });
  noun.Add("label", "Set and remove labels of a blob")
      .Rest({"DIGEST KEY=value [KEY=...]", 2, -1}, arguments->rest)
      .Examples("  berth content label sha256:6a1f... kept=yes\n")
      .Do([&context, arguments] { return LabelBlob(context, *arguments); });
  noun.Add("rm,remove", "Remove blobs")
      .Rest({"DIGEST [DIGEST...]", 1, -1}, arguments->rest)
      .Examples("  berth content rm sha256:6a1f...\n")
      .Do([&context, arguments] { return RemoveBlobs(context, *arguments); });
}

}  // namespace berth::client
