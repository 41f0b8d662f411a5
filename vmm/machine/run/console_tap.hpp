// SPDX-License-Identifier: Apache-2.0
// ConsoleTap: what the guest's serial port prints, to the places of `[console]` and to whoever
// listens in this process.
#pragma once

#include <span>
#include <utility>

#include "devices/platform/console_sink.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm {

class ConsoleTap : public ConsoleSink {
 public:
  /// `places` outlives this. An empty observer is none.
  ConsoleTap(ConsoleSink& places, ConsoleSource source, ConsoleObserver observer)
      : places_(places), source_(source), observer_(std::move(observer)) {}

  void write(std::span<const std::byte> bytes) override {
    places_.write(bytes);
    if (observer_) {
      observer_(source_, bytes);
    }
  }

 private:
  ConsoleSink& places_;
  const ConsoleSource source_;
  const ConsoleObserver observer_;
};

}  // namespace gpuvm
