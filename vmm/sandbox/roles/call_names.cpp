// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/call_names.hpp"

#include <seccomp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace gpuvm::sandbox {
namespace {

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

}  // namespace

CallNames::CallNames() {
  for (std::size_t i = 0; i < kCalls; ++i) {
    const std::unique_ptr<char, FreeText> name(
        seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(i)));
    if (name) {
      const std::size_t size = std::min(std::strlen(name.get()), kLongest - 1);
      std::memcpy(names_.at(i).data(), name.get(), size);
    }
  }
}

std::string_view CallNames::of(long number) const {
  if (number < 0 || static_cast<std::size_t>(number) >= kCalls) {
    return {};
  }
  return names_[static_cast<std::size_t>(number)].data();
}

}  // namespace gpuvm::sandbox
