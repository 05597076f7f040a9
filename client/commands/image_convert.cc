// berth image convert: another form of an image under another name.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/commands/verbs.h"
#include "client/sdk/image_forms_client.h"
#include "client/sdk/image_reader.h"

namespace berth::client {
namespace {

struct ConvertArguments {
  Conversion conversion;
  bool is_oci = false;
  bool is_docker = false;
  bool is_quiet = false;
  std::vector<std::string> rest;
};

absl::StatusOr<int> ConvertImage(const Context& context, const ConvertArguments& arguments) {
  if (arguments.is_oci && arguments.is_docker) {
    return absl::InvalidArgumentError("--oci and --docker exclude each other");
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ImageRecord source, FindImage(connection, arguments.rest[0]));
  BERTH_ASSIGN_OR_RETURN(const Reference target, Reference::Parse(arguments.rest[1]));
  Conversion conversion = arguments.conversion;
  conversion.source = source.name();
  conversion.target = target.Full();
  conversion.format = arguments.is_oci ? "oci" : arguments.is_docker ? "docker" : "";
  BERTH_ASSIGN_OR_RETURN(const ImageFormsClient::Converted converted,
                         ImageFormsClient(connection).Convert(conversion));
  PrintText(arguments.is_quiet
                ? absl::StrCat(converted.name, "\n")
                : absl::StrCat("Digest: ", converted.digest, "\n", converted.name, "\n"));
  return kExitOk;
}

}  // namespace

void AddImageConvert(Command image, const Context& context) {
  auto arguments = std::make_shared<ConvertArguments>();
  image.Add("convert", "Pack an image's layers otherwise, or keep some of its platforms")
      .Option("--compression", arguments->conversion.compression, "none, gzip or zstd")
      .Option("--platform", arguments->conversion.platforms,
              "Keep this platform of an index alone; may be repeated")
      .Flag("--oci", arguments->is_oci, "OCI's media types")
      .Flag("--docker", arguments->is_docker, "Docker's media types")
      .Flag("-q,--quiet", arguments->is_quiet, "Print the new name only")
      .Rest({"IMAGE NAME", 2, 2}, arguments->rest)
      .Examples(
          "  berth image convert --oci --compression zstd app:1 app:zstd\n"
          "  berth image convert --platform linux/arm64 app:1 registry.example/app:arm\n")
      .Do([&context, arguments] { return ConvertImage(context, *arguments); });
}

}  // namespace berth::client
