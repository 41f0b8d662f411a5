// SPDX-License-Identifier: Apache-2.0
// gpuvm unbind: gives functions back that a gpuvm which crashed, or was killed, has left bound to
// vfio-pci.
#include <optional>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/driver_binding.hpp"

namespace gpuvm::cli {
namespace {

Result<std::vector<Bdf>> parse_addresses(const std::vector<std::string>& texts) {
  std::vector<Bdf> addresses;
  for (const auto& text : texts) {
    const auto bdf = Bdf::parse(text);
    if (!bdf) {
      return fail(ErrorKind::kUsage,
                  "{} is not a PCI address such as 0000:01:00.0; lspci -D lists them", text);
    }
    addresses.push_back(*bdf);
  }
  return addresses;
}

Status restore_one(const HostSystem& host, const Bdf& bdf) {
  const bool had_record = TRY_CONTEXT(restore_binding(host, bdf), "Giving back " + bdf.to_string());
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

}  // namespace

Result<int> unbind_verb(const UnbindArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const auto addresses = TRY(parse_addresses(arguments.addresses));
  const HostSystem host;
  if (addresses.empty()) {
    TRY(restore_all(host));
  }
  for (const auto& bdf : addresses) {
    TRY(restore_one(host, bdf));
  }
  return 0;
}

}  // namespace gpuvm::cli
