#include "server/api/operations.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(OperationsTest, AnOperationIsListedUntilItsTokenIsGone) {
  const auto operations = std::make_shared<Operations>();
  auto first = operations->Begin({.ns = "n", .container = "a", .call = "Tasks.Start"});
  auto second = operations->Begin({.ns = "n", .container = "b", .call = "Tasks.Kill"});
  ASSERT_EQ(operations->List().size(), 2u);
  EXPECT_EQ(operations->List()[0].call, "Tasks.Start");
  first.reset();
  ASSERT_EQ(operations->List().size(), 1u);
  EXPECT_EQ(operations->List()[0].container, "b");
  second.reset();
  EXPECT_TRUE(operations->List().empty());
}

TEST(OperationsTest, TheTableOutlivesItsOwnerWhileACallIsOpen) {
  auto operations = std::make_shared<Operations>();
  const std::weak_ptr<Operations> table = operations;
  auto open = operations->Begin({.ns = "n", .container = "a", .call = "Tasks.Start"});
  operations.reset();
  EXPECT_FALSE(table.expired());
  open.reset();
  EXPECT_TRUE(table.expired());
}

}  // namespace
}  // namespace berth
