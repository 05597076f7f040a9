// libarchive, loaded by the first command that needs it.
//
// It brings libxml2 and ICU with it, whose relocations cost every start of `berth` ten
// milliseconds, while only cp, load and save need it. late_libarchive.cc defines the functions that
// the client calls, by the names and types of <archive.h>, and passes each call on. Thread-safe.
#ifndef BERTH_CLIENT_SDK_LATE_LIBARCHIVE_H_
#define BERTH_CLIENT_SDK_LATE_LIBARCHIVE_H_

#include "absl/status/status.h"

namespace berth::client {

// Before the first of the calls. Errors: FAILED_PRECONDITION: it is not installed, or too old.
absl::Status LoadLibarchive();

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_LATE_LIBARCHIVE_H_
