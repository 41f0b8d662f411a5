// SPDX-License-Identifier: Apache-2.0
// WarmGuest: what a guest has that boots to wait for who wants it (vmm/pool): what it hears by its
// status port, and the moment at which it becomes somebody's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "devices/virtio/named_port/port_input.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// The guest is somebody's from here on: it reads another generation id, is told so, and hears
/// `words` by its status port once it runs. Any thread; returns at once. `done`, on the control
/// thread: kHost, where there are no random numbers, kUsage for too many words.
using BeginAnew = std::function<void(std::string words, std::function<void(Status)> done)>;

class WarmGuest {
 public:
  /// Called once, when the machine is built and the guest does not run yet; what it is given may be
  /// called until the guest's end.
  using OnWarm = std::function<void(BeginAnew)>;

  /// Null without `on_warm`: the guest waits for nobody. Errors: kHost.
  static Result<std::unique_ptr<WarmGuest>> create(OnWarm on_warm);

  /// What the guest reads at its status port.
  PortInput& input() { return *input_; }

  struct Machine {
    /// Has the control thread do this; from any thread, and returns at once.
    std::function<void(std::function<void()>)> post;
    std::function<Status()> renew_generation_id;  ///< on the control thread
  };
  /// The machine is built. Control thread, once.
  void begin(Machine machine);

 private:
  WarmGuest(OnWarm on_warm, std::unique_ptr<PortInput> input)
      : on_warm_(std::move(on_warm)), input_(std::move(input)) {}
  Status begin_anew(const std::string& words);

  const OnWarm on_warm_;
  const std::unique_ptr<PortInput> input_;
  Machine machine_;
};

}  // namespace gpuvm
