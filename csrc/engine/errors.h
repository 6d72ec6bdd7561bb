// Errors that the Python side turns into bittrue.errors.UnsupportedError (exit 3) and DataError (exit 4).
#pragma once

#include <stdexcept>
#include <string>

namespace bittrue {

struct UnsupportedError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct DataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bittrue
