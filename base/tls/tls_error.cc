#include "base/tls/tls_error.h"

#include <openssl/err.h>

namespace berth {

std::string TakeTlsError() {
  const unsigned long error = ::ERR_get_error();
  ::ERR_clear_error();
  const char* reason = error == 0 ? nullptr : ::ERR_reason_error_string(error);
  return reason != nullptr ? reason : "the connection broke";
}

}  // namespace berth
