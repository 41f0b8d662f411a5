// SPDX-License-Identifier: Apache-2.0
// gpuvm unbind: gives functions back that a gpuvm which crashed, or was killed, has left bound to
// vfio-pci. Those that its guest had are dirty, and are repaired first.
#include <algorithm>
#include <optional>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/pci_device.hpp"

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
                           had_record ? given_back_text(host, bdf) : "was not taken by gpuvm"));
}

void restore_all(const HostSystem& host, WorstError& errors) {
  for (auto& [bdf, outcome] : restore_bindings(host)) {
    if (outcome) {
      errors.add(print(fmt::format("{} {}\n", bdf.to_string(), given_back_text(host, bdf))));
    } else {
      errors.add(std::move(outcome).error().with_context("Giving back " + bdf.to_string()));
    }
  }
}

/// Takes the first of `rest`, and what can only be repaired together with it: a slot for its hot
/// reset, and an IOMMU group, which the host and VFIO cannot share.
std::vector<Bdf> take_together(const HostSystem& host, std::vector<Bdf>& rest) {
  const auto group = [&host](const Bdf& bdf) {
    const auto device = HostPciDevice::open(host, bdf);
    return device ? device->iommu_group() : std::nullopt;
  };
  const auto are_together = [&group](const Bdf& a, const Bdf& b) {
    return a.same_slot(b) || (group(a) && group(a) == group(b));
  };
  std::vector<Bdf> taken{rest.front()};
  rest.erase(rest.begin());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const Bdf one = taken[i];
    const auto others = std::stable_partition(
        rest.begin(), rest.end(), [&](const Bdf& bdf) { return !are_together(one, bdf); });
    taken.insert(taken.end(), others, rest.end());
    rest.erase(others, rest.end());
  }
  return taken;
}

void repair_all(const HostSystem& host, std::vector<Bdf> functions, WorstError& errors) {
  while (!functions.empty()) {
    errors.add(repair(host, take_together(host, functions), "gpuvm unbind"));
  }
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
  const HostSystem host;
  const auto addresses = TRY(parse_addresses(host, arguments.addresses));
  const auto dirty = dirty_orphans(host);
  const bool is_for_all = addresses.empty();
  const auto repaired = arguments.force ? std::vector<Bdf>()
                        : is_for_all    ? dirty
                                        : to_repair(dirty, addresses);
  WorstError errors;
  repair_all(host, repaired, errors);
  auto left = is_for_all && arguments.force ? dirty : addresses;
  std::erase_if(left, [&repaired](const Bdf& bdf) {
    return std::find(repaired.begin(), repaired.end(), bdf) != repaired.end();
  });
  for (const auto& bdf : left) {
    errors.add(restore_one(host, bdf, arguments.force ? IfDirty::kGiveBack : IfDirty::kRefuse));
  }
  if (is_for_all) {
    restore_all(host, errors);
  }
  TRY(errors.take());
  return 0;
}

}  // namespace gpuvm::cli
