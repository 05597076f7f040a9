// A metadata database in a directory of its own, for tests. Thread-compatible; owned by the test.
#ifndef BERTH_SERVER_METADATA_TEST_DATABASE_H_
#define BERTH_SERVER_METADATA_TEST_DATABASE_H_

#include <memory>
#include <string>

#include "base/sqlite/database.h"

namespace berth::metadata {

class TestDatabase {
 public:
  TestDatabase();
  ~TestDatabase();

  sqlite::Database& operator*() { return *database_; }
  sqlite::Database* operator->() { return database_.get(); }
  const std::string& directory() const { return directory_; }
  // Closes the database and opens it again, as a restart of the daemon does.
  void Reopen();

 private:
  std::string directory_;
  std::unique_ptr<sqlite::Database> database_;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_TEST_DATABASE_H_
