#include "base/tls/tcp_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace berth {

void SetTcpOptions(BorrowedFd tcp) {
  const int on = 1;
  const int idle_s = 60, interval_s = 20, probes = 3;
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  (void)::setsockopt(tcp.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  (void)::setsockopt(tcp.get(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

}  // namespace berth
