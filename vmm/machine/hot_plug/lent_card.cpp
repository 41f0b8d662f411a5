// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/lent_card.hpp"

#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/owner/card_files.hpp"

namespace gpuvm {

Status LentCard::take() {
  Owner& owner = *machine().lender;
  auto files = TRY(take_card_from(owner, number_, openers().sleep));
  auto devices =
      HostDevices::adopt(machine().host, functions(), std::move(files), owner, openers());
  if (!devices) {
    const Error why = devices.error();
    if (const Status back = give_back(); !back) {
      log::error("{}", back.error().to_string());
    }
    return why;
  }
  hold(std::move(devices).value());
  return {};
}

Status LentCard::give_back() {
  return give_card_back_to(*machine().lender, number_, openers().sleep);
}

/// Its files are closed before the owner opens the card anew.
Status LentCard::leave() {
  TRY(HostCard::leave());
  return give_back();
}

}  // namespace gpuvm
