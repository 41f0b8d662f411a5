// SPDX-License-Identifier: Apache-2.0
// gpuvm unbind: gives functions back that a gpuvm which crashed, or was killed, has left bound to
// vfio-pci. Those that its guest had are dirty, and are repaired first.
#include <algorithm>
#include <optional>

#include "vmm/base/log.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/driver_binding.hpp"

namespace gpuvm::cli {
namespace {

/// Functions that a gpuvm which is gone has left dirty.
std::vector<Bdf> dirty_orphans(const HostSystem& host) {
  std::vector<Bdf> dirty;
  for (const Bdf& bdf : recorded_devices(host)) {
    const auto claim = DeviceClaim::take(host, bdf, "gpuvm unbind");
    if (!claim) {
      log::debug("{}", claim.error().to_string());
    } else if (claim->is_dirty()) {
      dirty.push_back(bdf);
    }
  }
  return dirty;
}

Status restore_one(const HostSystem& host, const Bdf& bdf, IfDirty if_dirty) {
  const bool had_record =
      TRY_CONTEXT(restore_binding(host, bdf, if_dirty), "Giving back " + bdf.to_string());
  return print(fmt::format("{} {}\n", bdf.to_string(),
                           had_record ? "is given back" : "was not taken by gpuvm"));
}

/// Tries all, so that one stuck device does not keep the others; returns the first error.
Status restore_all(const HostSystem& host) {
  std::optional<Error> first;
  for (auto& [bdf, outcome] : restore_bindings(host)) {
    if (outcome) {
      TRY(print(bdf.to_string() + " is given back\n"));
    } else if (!first) {
      first = std::move(outcome).error().with_context("Giving back " + bdf.to_string());
    }
  }
  return first ? Status(*std::move(first)) : Status();
}

/// Dirty functions that were asked for, or that share a slot with one: a hot reset needs all.
std::vector<Bdf> to_repair(std::vector<Bdf> dirty, const std::vector<Bdf>& asked_for) {
  std::erase_if(dirty, [&asked_for](const Bdf& bdf) {
    return std::none_of(asked_for.begin(), asked_for.end(),
                        [&bdf](const Bdf& asked) { return asked.same_slot(bdf); });
  });
  return dirty;
}

}  // namespace

Result<int> unbind_verb(const UnbindArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const auto addresses = TRY(parse_addresses(arguments.addresses));
  const HostSystem host;
  const auto dirty = dirty_orphans(host);
  const bool is_for_all = addresses.empty();
  const auto repaired = arguments.force ? std::vector<Bdf>()
                        : is_for_all    ? dirty
                                        : to_repair(dirty, addresses);
  if (!repaired.empty()) {
    TRY(repair(host, repaired, "gpuvm unbind"));
  }
  auto left = is_for_all && arguments.force ? dirty : addresses;
  std::erase_if(left, [&repaired](const Bdf& bdf) {
    return std::find(repaired.begin(), repaired.end(), bdf) != repaired.end();
  });
  for (const auto& bdf : left) {
    TRY(restore_one(host, bdf, arguments.force ? IfDirty::kGiveBack : IfDirty::kRefuse));
  }
  if (is_for_all) {
    TRY(restore_all(host));
  }
  return 0;
}

}  // namespace gpuvm::cli
