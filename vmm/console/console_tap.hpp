// SPDX-License-Identifier: Apache-2.0
// ConsoleTap: what the guest's serial port prints, to the places of `[console]` and to whoever
// listens in this process.
#pragma once

#include <functional>
#include <span>
#include <utility>

#include "devices/platform/console_sink.hpp"

namespace gpuvm {

class ConsoleTap : public ConsoleSink {
 public:
  /// Called as ConsoleSink::write() is; must return soon.
  using Observer = std::function<void(std::span<const std::byte>)>;

  /// `places` outlives this. An empty observer is none.
  ConsoleTap(ConsoleSink& places, Observer observer)
      : places_(places), observer_(std::move(observer)) {}

  void write(std::span<const std::byte> bytes) override {
    places_.write(bytes);
    if (observer_) {
      observer_(bytes);
    }
  }

 private:
  ConsoleSink& places_;
  const Observer observer_;
};

}  // namespace gpuvm
