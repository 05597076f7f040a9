// Who asks: the namespace and the lease of a call. First argument of every store's calls.
// Immutable value.
#ifndef BERTH_SERVER_METADATA_CALLER_H_
#define BERTH_SERVER_METADATA_CALLER_H_

#include <string>

namespace berth::metadata {

struct Caller {
  std::string ns{};     // never empty: checked at the API's edge
  std::string lease{};  // empty: none
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_CALLER_H_
