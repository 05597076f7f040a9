#include "client/commands/each.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "client/commands/context.h"
#include "client/commands/listing.h"

namespace berth::client {

int ForEach(absl::string_view verb, const std::vector<std::string>& words,
            const std::function<absl::Status(const std::string&)>& operation) {
  int exit_code = kExitOk;
  for (const std::string& word : words) {
    const absl::Status done = operation(word);
    if (done.ok()) {
      PrintText(absl::StrCat(word, "\n"));
    } else {
      std::fprintf(stderr, "berth %s: %s\n", std::string(verb).c_str(),
                   std::string(done.message()).c_str());
      exit_code = kExitFailure;
    }
  }
  return exit_code;
}

}  // namespace berth::client
