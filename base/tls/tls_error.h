// What OpenSSL says went wrong. Thread-safe: its errors are the calling thread's.
#ifndef BERTH_BASE_TLS_TLS_ERROR_H_
#define BERTH_BASE_TLS_TLS_ERROR_H_

#include <string>

namespace berth {

// The oldest of OpenSSL's errors of this thread, which are forgotten.
std::string TakeTlsError();

}  // namespace berth

#endif  // BERTH_BASE_TLS_TLS_ERROR_H_
