// SPDX-License-Identifier: Apache-2.0
// DriverBinding: functions that another process of gpuvm is to give back.
#include <utility>

#include "vmm/host/driver_binding.hpp"

namespace gpuvm {

Result<DriverBinding> DriverBinding::adopt(const HostSystem& host, std::vector<Handed> functions) {
  std::vector<Managed> managed;
  for (Handed& function : functions) {
    managed.push_back({function.bdf,
                       TRY(BindingFile::adopt(host, function.bdf, std::move(function.file))),
                       function.is_resized});
  }
  DriverBinding binding(host);
  binding.managed_ = std::move(managed);
  return binding;
}

std::vector<DriverBinding::Handed> DriverBinding::hand_over() {
  std::vector<Handed> functions;
  for (Managed& entry : managed_) {
    functions.push_back({entry.bdf, entry.file.hand_over(), entry.is_resized});
  }
  managed_.clear();
  return functions;
}

void DriverBinding::add(DriverBinding more) {
  for (Managed& entry : more.managed_) {
    managed_.push_back(std::move(entry));
  }
  more.managed_.clear();
}

}  // namespace gpuvm
