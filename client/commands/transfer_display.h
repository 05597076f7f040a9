// Shows a transfer: on a terminal a line with a bar, rate and size for each blob, redrawn in place;
// elsewhere a plain line whenever a blob gets into another state.
//
// Written to standard error, so that standard output holds only results. Thread-safe: steps come
// from a thread of the transfer. Owned by one command; Finish before anything else is printed.
#ifndef BERTH_CLIENT_COMMANDS_TRANSFER_DISPLAY_H_
#define BERTH_CLIENT_COMMANDS_TRANSFER_DISPLAY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "client/sdk/transfer_client.h"

namespace berth::client {

class TransferDisplay {
 public:
  enum class Style { kQuiet, kPlain, kBars };
  // kBars on a terminal, else kPlain.
  static Style ChooseStyle();

  explicit TransferDisplay(Style style) : style_(style) {}

  OnTransferStep on_step() {
    if (style_ == Style::kQuiet) return nullptr;
    return [this](const TransferStep& step) { Show(step); };
  }
  void Show(const TransferStep& step) ABSL_LOCKS_EXCLUDED(mutex_);
  // Draws the last state.
  void Finish() ABSL_LOCKS_EXCLUDED(mutex_);

  // One line of a blob, at most `width` columns: pure, for tests.
  struct Line {
    std::string event;
    std::string name;
    int64_t done_bytes = 0;
    int64_t total_bytes = 0;
    int64_t first_bytes = 0;  // where its download began: what was there is not counted as fast
    absl::Time began;
  };
  static std::string Format(const Line& line, int width, absl::Time now);

 private:
  void Draw(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Style style_;
  Mutex mutex_;
  std::vector<std::string> order_ ABSL_GUARDED_BY(mutex_);  // names, as they came
  std::map<std::string, Line> lines_ ABSL_GUARDED_BY(mutex_);
  size_t drawn_ ABSL_GUARDED_BY(mutex_) = 0;  // lines on the screen
  absl::Time drawn_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_TRANSFER_DISPLAY_H_
