// How a TCP connection that carries calls is set up. Thread-safe function.
#ifndef BERTH_BASE_TLS_TCP_OPTIONS_H_
#define BERTH_BASE_TLS_TCP_OPTIONS_H_

#include "base/os/unique_fd.h"

namespace berth {

// Small messages go out at once; a peer that vanished is noticed within some minutes.
void SetTcpOptions(BorrowedFd tcp);

}  // namespace berth

#endif  // BERTH_BASE_TLS_TCP_OPTIONS_H_
