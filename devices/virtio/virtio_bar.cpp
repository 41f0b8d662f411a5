// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio_bar.hpp"

namespace gpuvm {

Status VirtioBar::map(std::uint64_t at) {
  const GuestAddress base(at);
  const auto range = GuestRange::create(base, size());
  if (!range) {
    return fail(ErrorKind::kInternal, "{} does not fit at {:#x}", options_.name, at);
  }
  TRY(options_.mmio.add({*range, &options_.handler}));
  at_ = base;
  for (std::size_t queue = 0; queue < options_.doorbells.size(); ++queue) {
    const GuestAddress place = base + virtio_bar::kNotify + queue * virtio_bar::kNotifyMultiplier;
    const auto status =
        options_.controller.connect(place, virtio_bar::kDoorbellSize, options_.doorbells[queue]);
    if (status) {
      connected_.push_back(place);
    } else if (limit_.allow()) {
      log::warn("{}: {}", options_.name, status.error().to_string());
    }
  }
  return {};
}

void VirtioBar::unmap() {
  for (const GuestAddress place : connected_) {
    options_.controller.disconnect(place);
  }
  connected_.clear();
  const GuestAddress base = at_.value_or(GuestAddress(0));
  if (const auto status = options_.mmio.replace({&base, 1}, {}); !status) {
    log::error("{}", status.error().to_string());
  }
  at_.reset();
}

void VirtioBar::inspect(InspectNode& node) const {
  node.field("doorbells", std::uint64_t{options_.doorbells.size()});
}

}  // namespace gpuvm
