// SPDX-License-Identifier: Apache-2.0
// DriverWrites: writes to attributes behind which a function's driver, or the kernel's lock of the
// function, may sleep for ever (unbind, bind, drivers_probe, driver_override). Each has a limit,
// behind which the function counts as stuck, and the error says what may hold it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

class DriverWrites {
 public:
  /// Drivers of GPUs take up to some ten seconds to come or go; the kernel calls a task hung after
  /// 120 s.
  static constexpr std::chrono::seconds kLimit{60};

  /// `host` must outlive this.
  DriverWrites(const HostSystem& host, const Bdf& bdf) : host_(&host), bdf_(bdf) {}

  const HostSystem& host() const { return *host_; }
  const Bdf& bdf() const { return bdf_; }
  /// To an attribute of the function.
  Status write_own(std::string_view attribute, std::string_view text);
  /// To another one. Errors of both: kHost: refused, or the function is stuck; then nothing is
  /// written any more, because the kernel's lock of the function is held.
  Status write(const std::string& path, std::string_view text);
  /// A write has not come back. What was asked for may still happen at any time.
  bool is_stuck() const { return is_stuck_; }

 private:
  /// `driver`: the one that had the function before the write; empty: none.
  Error stuck_error(const std::string& path, const std::string& driver) const;

  const HostSystem* host_;
  Bdf bdf_;
  bool is_stuck_ = false;
};

}  // namespace gpuvm
