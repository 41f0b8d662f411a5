// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/services/warm_guest.hpp"

namespace gpuvm {

Result<std::unique_ptr<WarmGuest>> WarmGuest::create(OnWarm on_warm) {
  if (!on_warm) {
    return std::unique_ptr<WarmGuest>();
  }
  auto input = TRY(PortInput::create());
  return std::unique_ptr<WarmGuest>(new WarmGuest(std::move(on_warm), std::move(input)));
}

void WarmGuest::begin(Machine machine) {
  machine_ = std::move(machine);
  on_warm_([this](std::string words, std::function<void(Status)> done) {
    machine_.post(
        [this, words = std::move(words), done = std::move(done)] { done(begin_anew(words)); });
  });
}

/// The id first: a kernel that knows it has random numbers of its own before anybody acts on the
/// words.
Status WarmGuest::begin_anew(const std::string& words) {
  TRY(machine_.renew_generation_id());
  if (!input_->add(words)) {
    return fail(ErrorKind::kUsage, "A guest is told at most {} bytes at a time", PortInput::kMost);
  }
  return {};
}

}  // namespace gpuvm
