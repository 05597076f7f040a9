#include "server/engine/names.h"

#include <array>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace berth::engine {
namespace {

constexpr std::array<const char*, 64> kAdjectives = {
    "amber",  "brave",   "breezy", "bright",  "brisk",  "calm",   "candid", "cheery",
    "clever", "cosy",    "crisp",  "curious", "dapper", "deft",   "eager",  "earnest",
    "fabled", "fair",    "fleet",  "fond",    "frosty", "gentle", "glad",   "golden",
    "grand",  "happy",   "hardy",  "hearty",  "humble", "jolly",  "keen",   "kind",
    "lively", "loyal",   "lucid",  "mellow",  "merry",  "mighty", "neat",   "nimble",
    "noble",  "patient", "placid", "plucky",  "polite", "proud",  "quick",  "quiet",
    "rapid",  "ready",   "rosy",   "rustic",  "serene", "sharp",  "silent", "snug",
    "spry",   "steady",  "sunny",  "swift",   "tidy",   "vivid",  "warm",   "witty"};
constexpr std::array<const char*, 64> kNouns = {
    "anchor", "barge",   "beacon",  "bollard", "bosun",    "bowline", "bridge",  "brig",
    "buoy",   "cabin",   "canoe",   "capstan", "caravel",  "clipper", "coaster", "compass",
    "cove",   "crane",   "current", "cutter",  "deck",     "dinghy",  "dock",    "drifter",
    "ferry",  "fjord",   "frigate", "galleon", "galley",   "gull",    "harbour", "hawser",
    "helm",   "island",  "jetty",   "kayak",   "keel",     "ketch",   "lagoon",  "lantern",
    "lugger", "mariner", "mast",    "packet",  "pier",     "pilot",   "port",    "quay",
    "raft",   "reef",    "rudder",  "sail",    "schooner", "skiff",   "sloop",   "spar",
    "tender", "tide",    "trawler", "tugboat", "voyage",   "wharf",   "winch",   "yawl"};

bool IsNameCharacter(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-'; }

absl::Status ValidateName(absl::string_view name, absl::string_view what) {
  bool valid = name.size() >= 2 && name.size() <= 253 && absl::ascii_isalnum(name[0]);
  for (const char c : name) valid = valid && IsNameCharacter(c);
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Invalid ", what, " name (", name,
                   "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, two characters at least"));
}

}  // namespace

std::string RandomId() {
  absl::BitGen random;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(&id, absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
  }
  return id;
}

std::string RandomName(int attempt) {
  absl::BitGen random;
  std::string name = absl::StrCat(kAdjectives[absl::Uniform<size_t>(random, 0, kAdjectives.size())],
                                  "_", kNouns[absl::Uniform<size_t>(random, 0, kNouns.size())]);
  if (attempt > 0) absl::StrAppend(&name, absl::Uniform<int>(random, 0, attempt < 4 ? 10 : 100000));
  return name;
}

std::string ShortId(absl::string_view id) { return std::string(id.substr(0, 12)); }

absl::Status ValidateContainerName(absl::string_view name) {
  return ValidateName(name, "container");
}
absl::Status ValidateVolumeName(absl::string_view name) { return ValidateName(name, "volume"); }

bool LooksLikeId(absl::string_view text) {
  if (text.empty() || text.size() > 64) return false;
  for (const char c : text) {
    if (!absl::ascii_isxdigit(c)) return false;
  }
  return true;
}

bool IsWholeId(absl::string_view text) { return text.size() == 64 && LooksLikeId(text); }

}  // namespace berth::engine
