// An operation where the heap has nothing left: each of its requests for memory fails in turn, alone and with all that
// follow. It has to say that it was memory, to keep nothing, and to do the same as ever once there is some.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include <mirnet/base/result.hpp>

#include "allocations.hpp"

namespace test {

/// operation() returns a Result, and takes memory at least once; same(a, b) compares its values.
template <class Operation, class Same>
void fail_each_request(std::string const& what, Operation operation, Same same) {
  INFO(what);
  auto const expected = operation();
  REQUIRE(expected.ok());
  REQUIRE(same(expected, expected));  // what is made at the first use is there then
  for (bool const once : {true, false}) {
    CAPTURE(once);
    long number = 0;
    for (bool failed = true; failed;) {
      ++number;
      CAPTURE(number);
      long const before = live_allocations();
      {
        FailingHeap heap(number, once);
        auto const result = operation();
        heap.end();
        failed = heap.failed();
        if (result.ok()) {
          CHECK(same(result, expected));  // there may be another way to the same end
        } else {
          CHECK(result.error().code() == mirnet::ErrorCode::memory);
          CHECK(std::string(result.error().message()) != "");
        }
        CHECK((failed || result.ok()));
      }
      CHECK(live_allocations() == before);
    }
    CHECK(number > 1);
  }
  auto const again = operation();
  REQUIRE(again.ok());
  CHECK(same(again, expected));
}

}  // namespace test
