#include "client/commands/each.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/commands/context.h"
#include "client/commands/listing.h"

namespace berth::client {

namespace {

constexpr size_t kMaxThreads = 16;

// Tells of one result; answers whether it was good.
bool Report(absl::string_view verb, const std::string& word, const absl::Status& done) {
  if (done.ok()) {
    PrintText(absl::StrCat(word, "\n"));
    return true;
  }
  std::fprintf(stderr, "berth %s: %s\n", std::string(verb).c_str(),
               std::string(done.message()).c_str());
  return false;
}

}  // namespace

int ForEach(absl::string_view verb, const std::vector<std::string>& words,
            const std::function<absl::Status(const std::string&)>& operation) {
  int exit_code = kExitOk;
  for (const std::string& word : words) {
    if (!Report(verb, word, operation(word))) exit_code = kExitFailure;
  }
  return exit_code;
}

int ForEachAtOnce(absl::string_view verb, const std::vector<std::string>& words,
                  const std::function<absl::Status(const std::string&)>& operation) {
  std::vector<absl::Status> results(words.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < words.size(); i = next++) results[i] = operation(words[i]);
  };
  std::vector<std::thread> threads;
  while (threads.size() < std::min(words.size(), kMaxThreads)) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  int exit_code = kExitOk;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!Report(verb, words[i], results[i])) exit_code = kExitFailure;
  }
  return exit_code;
}

}  // namespace berth::client
