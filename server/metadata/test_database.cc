#include "server/metadata/test_database.h"

#include <fcntl.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "server/metadata/schema.h"

namespace berth::metadata {

TestDatabase::TestDatabase() {
  const char* base = std::getenv("TEST_TMPDIR");
  directory_ = absl::StrCat(base != nullptr ? base : "/tmp", "/metadata-XXXXXX");
  BERTH_CHECK(::mkdtemp(directory_.data()) != nullptr);
  Reopen();
}

TestDatabase::~TestDatabase() {
  database_.reset();
  RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_).IgnoreError();  // the test's own directory
}

void TestDatabase::Reopen() {
  database_.reset();
  auto opened =
      sqlite::Database::Open(absl::StrCat(directory_, "/metadata.db"), SchemaMigrations());
  BERTH_CHECK(opened.ok());
  database_ = *std::move(opened);
}

}  // namespace berth::metadata
