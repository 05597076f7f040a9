#include "client/sdk/late_libarchive.h"

#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace berth::client {
namespace {

constexpr char kName[] = "libarchive.so.13";

#ifdef __SANITIZE_ADDRESS__  // which refuses it
constexpr int kOwnFirst = 0;
#else
constexpr int kOwnFirst =
    RTLD_DEEPBIND;  // its calls to its own functions are not to come back here
#endif

void* Library() {
  static void* const library = ::dlopen(kName, RTLD_LAZY | RTLD_LOCAL | kOwnFirst);
  return library;
}

template <typename Function>
Function* Find(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(Library(), name));
}

}  // namespace

absl::Status LoadLibarchive() {
  // The newest of the functions below.
  if (Library() != nullptr && ::dlsym(Library(), "archive_read_support_filter_zstd") != nullptr) {
    return absl::OkStatus();
  }
  const char* reason = ::dlerror();
  return absl::FailedPreconditionError(absl::StrCat(
      "archives are read and written by ", kName,
      ", version 3.3 or newer, which cannot be loaded (",
      reason == nullptr ? "it is older" : reason, "): install it (Debian: libarchive13)"));
}

}  // namespace berth::client

// One line for each function: its result, its name, its parameters.
#define BERTH_PASS_ON(name, ...)                                              \
  {                                                                           \
    static auto* const function = berth::client::Find<decltype(name)>(#name); \
    return function(__VA_ARGS__);                                             \
  }
#define BERTH_PASS_ON_0(result, name) result name() BERTH_PASS_ON(name)
#define BERTH_PASS_ON_1(result, name, first) result name(first a) BERTH_PASS_ON(name, a)
#define BERTH_PASS_ON_2(result, name, first, second) \
  result name(first a, second b) BERTH_PASS_ON(name, a, b)
#define BERTH_PASS_ON_3(result, name, first, second, third) \
  result name(first a, second b, third c) BERTH_PASS_ON(name, a, b, c)
#define BERTH_PASS_ON_4(result, name, first, second, third, fourth) \
  result name(first a, second b, third c, fourth d) BERTH_PASS_ON(name, a, b, c, d)

extern "C" {
BERTH_PASS_ON_1(archive_entry*, archive_entry_clear, archive_entry*)
BERTH_PASS_ON_2(void, archive_entry_copy_hardlink, archive_entry*, const char*)
BERTH_PASS_ON_2(void, archive_entry_copy_pathname, archive_entry*, const char*)
BERTH_PASS_ON_1(__LA_MODE_T, archive_entry_filetype, archive_entry*)
BERTH_PASS_ON_1(void, archive_entry_free, archive_entry*)
BERTH_PASS_ON_1(const char*, archive_entry_hardlink, archive_entry*)
BERTH_PASS_ON_0(archive_entry*, archive_entry_new)
BERTH_PASS_ON_1(const char*, archive_entry_pathname, archive_entry*)
BERTH_PASS_ON_1(la_int64_t, archive_entry_size, archive_entry*)
BERTH_PASS_ON_1(const char*, archive_error_string, archive*)
BERTH_PASS_ON_3(la_ssize_t, archive_read_data, archive*, void*, size_t)
BERTH_PASS_ON_4(int, archive_read_data_block, archive*, const void**, size_t*, la_int64_t*)
BERTH_PASS_ON_1(int, archive_read_disk_descend, archive*)
BERTH_PASS_ON_0(archive*, archive_read_disk_new)
BERTH_PASS_ON_2(int, archive_read_disk_open, archive*, const char*)
BERTH_PASS_ON_1(int, archive_read_disk_set_standard_lookup, archive*)
BERTH_PASS_ON_1(int, archive_read_disk_set_symlink_hybrid, archive*)
BERTH_PASS_ON_1(int, archive_read_disk_set_symlink_physical, archive*)
BERTH_PASS_ON_1(int, archive_read_free, archive*)
BERTH_PASS_ON_0(archive*, archive_read_new)
BERTH_PASS_ON_2(int, archive_read_next_header, archive*, archive_entry**)
BERTH_PASS_ON_2(int, archive_read_next_header2, archive*, archive_entry*)
BERTH_PASS_ON_3(int, archive_read_open_fd, archive*, int, size_t)
BERTH_PASS_ON_1(int, archive_read_support_filter_bzip2, archive*)
BERTH_PASS_ON_1(int, archive_read_support_filter_gzip, archive*)
BERTH_PASS_ON_1(int, archive_read_support_filter_lz4, archive*)
BERTH_PASS_ON_1(int, archive_read_support_filter_xz, archive*)
BERTH_PASS_ON_1(int, archive_read_support_filter_zstd, archive*)
BERTH_PASS_ON_1(int, archive_read_support_format_empty, archive*)
BERTH_PASS_ON_1(int, archive_read_support_format_raw, archive*)
BERTH_PASS_ON_1(int, archive_read_support_format_tar, archive*)
BERTH_PASS_ON_1(int, archive_write_close, archive*)
BERTH_PASS_ON_3(la_ssize_t, archive_write_data, archive*, const void*, size_t)
BERTH_PASS_ON_4(la_ssize_t, archive_write_data_block, archive*, const void*, size_t, la_int64_t)
BERTH_PASS_ON_0(archive*, archive_write_disk_new)
BERTH_PASS_ON_2(int, archive_write_disk_set_options, archive*, int)
BERTH_PASS_ON_1(int, archive_write_finish_entry, archive*)
BERTH_PASS_ON_1(int, archive_write_free, archive*)
BERTH_PASS_ON_2(int, archive_write_header, archive*, archive_entry*)
BERTH_PASS_ON_0(archive*, archive_write_new)
BERTH_PASS_ON_2(int, archive_write_open_fd, archive*, int)
BERTH_PASS_ON_2(int, archive_write_set_bytes_in_last_block, archive*, int)
BERTH_PASS_ON_1(int, archive_write_set_format_pax_restricted, archive*)
}  // extern "C"
