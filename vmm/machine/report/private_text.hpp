// SPDX-License-Identifier: Apache-2.0
// What must not be in a report: names of the host and of users in texts, serial numbers in
// configuration spaces (PCI Express Base 6.0, 7.9.3 Device Serial Number, of network cards often
// their MAC address; 7.9.19 VPD, whose data register may hold a part of one). Missing: numbers in
// capabilities of vendors, whose meaning nobody else knows.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/host/host_system.hpp"
#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

class PrivateText {
 public:
  /// Replaces these names where they stand as words of their own; those shorter than three
  /// characters and "root" say nothing of anyone and stay.
  explicit PrivateText(std::vector<std::string> names);
  /// The host's name and the users' of this process (hostname(5), environ(7)).
  static PrivateText of_this_host(const HostSystem& host);

  /// Printable ASCII: "?" for anything else, "(hidden)" for a name. Cut after 4000 characters.
  std::string clean(std::string_view text) const;

 private:
  std::vector<std::string> names_;
};

/// Zeroes serial numbers, also where no chain reaches their capability, and says where.
RecordedConfig without_serial_numbers(std::vector<std::byte> config);

}  // namespace gpuvm
