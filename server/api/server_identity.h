// Who a daemon is, as the Introspection service tells it. Plain data.
#ifndef BERTH_SERVER_API_SERVER_IDENTITY_H_
#define BERTH_SERVER_API_SERVER_IDENTITY_H_

#include <cstdint>
#include <string>

namespace berth {

struct ServerIdentity {
  std::string uuid;  // the same for the life of ROOT
  uint64_t pid = 0;
  uint64_t pid_namespace = 0;  // inode
};

}  // namespace berth

#endif  // BERTH_SERVER_API_SERVER_IDENTITY_H_
