// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/result.hpp"

#include <cerrno>
#include <system_error>

namespace gpuvm {

Error fail_errno(ErrorKind kind, const std::string& what) {
  return fail_errno(kind, what, errno);
}

Error fail_errno(ErrorKind kind, const std::string& what, int error_number) {
  return Error(kind, what + ": " + std::generic_category().message(error_number));
}

}  // namespace gpuvm
