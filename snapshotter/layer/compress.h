// Plain bytes to compressed ones.
//
// The output depends only on the input and the library's release: no time stamp, no file name.
// Thread-compatible.
#ifndef BERTH_SNAPSHOTTER_LAYER_COMPRESS_H_
#define BERTH_SNAPSHOTTER_LAYER_COMPRESS_H_

#include <memory>

#include "absl/status/status.h"
#include "snapshotter/layer/byte_stream.h"
#include "snapshotter/layer/decompress.h"

namespace berth::layer {

class CompressingSink : public ByteSink {
 public:
  // Writes what is still held and the trailer; nothing may be written afterwards. Without it the
  // output is incomplete.
  virtual absl::Status Finish() = 0;
};

// `below` is borrowed and must outlive the result. kNone passes the bytes on as they are.
std::unique_ptr<CompressingSink> OpenCompressed(Compression compression, ByteSink& below);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_COMPRESS_H_
