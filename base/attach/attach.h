// What is said on the attach socket of a shim: one hello from the client, then its input, as it is
// or in pieces of a session; from the shim, frames. docs/formats/attach.md is the description.
//
// Pure code, thread-safe; a FrameReader is thread-compatible.
#ifndef BERTH_BASE_ATTACH_ATTACH_H_
#define BERTH_BASE_ATTACH_ATTACH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::attach {

// The socket's name in the bundle.
inline constexpr char kSocketName[] = "attach";
inline constexpr size_t kMaxExecIdBytes = 256;
inline constexpr size_t kMaxSessionBytes = 64;
inline constexpr size_t kHelloBytes = 8;  // before the exec id
inline constexpr size_t kFrameHeaderBytes = 8;
// Of one frame from the shim.
inline constexpr size_t kMaxPayloadBytes = 64 << 10;

struct Hello {
  std::string exec_id = "";  // empty: the container's own process
  bool input = false;        // what follows the hello is the process's input
  bool output = true;
  bool error_output = true;
  // The process waits for this client; else the client loses what it takes too slowly, and is told.
  bool lossless = false;
  // Not empty: the input comes in pieces (EncodeInput) and is counted, so that a connection which
  // is lost can be followed by another that goes on where it ended.
  std::string session = "";
};

// Errors: INVALID_ARGUMENT for an exec id or a session that is too long.
absl::StatusOr<std::string> EncodeHello(const Hello& hello);
// Takes a hello off the front of `bytes`; nullopt while it is not whole. Errors: INVALID_ARGUMENT.
absl::StatusOr<std::optional<Hello>> TakeHello(std::string& bytes);

// Numbers are on the wire: never renumber. 1 and 2 are those of Docker's multiplexed streams.
enum class FrameType : uint8_t {
  kAccepted = 0,  // the first frame; payload: 1 when the process has a terminal, else 0
  kOutput = 1,    // stdout, or the terminal
  kErrorOutput = 2,
  kRefused = 3,  // payload: why; nothing follows
  kDropped = 4,  // payload: how many bytes this client has lost here, u64 big-endian
  kEnded = 5,    // all output has been sent; nothing follows
  kTaken = 6,    // payload: how many bytes of this session's input have arrived, u64 big-endian
};

std::string EncodeFrame(FrameType type, absl::string_view payload);
std::string EncodeDropped(uint64_t bytes);
std::string EncodeTaken(uint64_t bytes);

// A piece of a session's input; an empty one is its end.
std::string EncodeInput(absl::string_view bytes);

// Takes the pieces apart, however they come.
class InputReader {
 public:
  // `take` is called with what is input; what follows the end is nothing.
  void Add(absl::string_view bytes, absl::FunctionRef<void(absl::string_view)> take);
  bool has_ended() const { return has_ended_; }

  // Where it stands, for another one that goes on from there.
  struct State {
    std::string header = "";
    uint32_t left = 0;
    bool has_ended = false;
  };
  State Save() const { return {header_, left_, has_ended_}; }
  void Resume(State state) {
    header_ = std::move(state.header);
    left_ = state.left;
    has_ended_ = state.has_ended;
  }

 private:
  std::string header_;
  uint32_t left_ = 0;  // of the piece that is under way
  bool has_ended_ = false;
};

class FrameReader {
 public:
  struct Frame {
    FrameType type = FrameType::kAccepted;
    std::string payload;
  };
  void Add(absl::string_view bytes) { buffer_.append(bytes.data(), bytes.size()); }
  // The next whole frame, if there is one. Errors: DATA_LOSS for what is no frame.
  absl::StatusOr<std::optional<Frame>> Next();

 private:
  std::string buffer_;
  size_t begin_ = 0;
};

// Of a kDropped or kTaken frame. Errors: DATA_LOSS.
absl::StatusOr<uint64_t> DecodeCount(absl::string_view payload);

}  // namespace berth::attach

#endif  // BERTH_BASE_ATTACH_ATTACH_H_
