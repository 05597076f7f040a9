// Which files a client uses for TLS. A value.
#ifndef BERTH_CLIENT_SDK_TLS_FILES_H_
#define BERTH_CLIENT_SDK_TLS_FILES_H_

#include <string>

namespace berth::client {

struct TlsFiles {
  std::string authority;    // who issued the server's certificate; empty: the system's authorities
  std::string certificate;  // the client's, with the intermediate ones behind it; may be empty
  std::string key;          // the certificate's
  std::string server_name;  // what the server's certificate must be for; empty: the address' host
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_TLS_FILES_H_
