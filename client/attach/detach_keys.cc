#include "client/attach/detach_keys.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::client {
namespace {

constexpr char kDefaultKeys[] = "\x10\x11";  // ctrl-p ctrl-q

}  // namespace

absl::StatusOr<DetachKeys> DetachKeys::Parse(absl::string_view text) {
  if (text.empty()) return DetachKeys(kDefaultKeys);
  std::string keys;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    if (word.size() == 1) {
      keys.push_back(word[0]);
      continue;
    }
    const std::string lower = absl::AsciiStrToLower(word);
    // Control characters lie 0x40 below their capital letters, and 0x60 below the small ones.
    constexpr absl::string_view kSigns = "@[\\]^_";
    const char key = lower.size() == 6 && absl::StartsWith(lower, "ctrl-") ? lower[5] : '\0';
    if (absl::ascii_islower(static_cast<unsigned char>(key))) {
      keys.push_back(static_cast<char>(key - 0x60));
    } else if (key != '\0' && absl::StrContains(kSigns, absl::string_view(&key, 1))) {
      keys.push_back(static_cast<char>(key - 0x40));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", word,
                       "\" is no key (expected a character, or ctrl- and one of a-z @ "
                       "[ \\ ] ^ _, divided by commas)"));
    }
  }
  return DetachKeys(std::move(keys));
}

DetachKeys::Passed DetachKeys::Feed(absl::string_view input) {
  Passed passed;
  for (const char c : input) {
    if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) {
        matched_ = 0;
        passed.detaches = true;
        return passed;
      }
      continue;
    }
    // What was held back is no sequence after all, but its last bytes may begin one.
    std::string held = keys_.substr(0, matched_);
    held.push_back(c);
    matched_ = 0;
    size_t kept = held.size();
    while (kept > 0 &&
           !absl::StartsWith(keys_, absl::string_view(held).substr(held.size() - kept))) {
      --kept;
    }
    absl::StrAppend(&passed.data, absl::string_view(held).substr(0, held.size() - kept));
    matched_ = kept;
  }
  return passed;
}

}  // namespace berth::client
