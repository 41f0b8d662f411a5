// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/platform.hpp"

namespace gpuvm {
namespace {

RtcCmos::Options clock_options(const Platform::Options& platform) {
  const GuestMemory& memory = platform.memory;
  RtcCmos::Options options;
  options.memory.below_4g = memory.regions().front().range.size();
  options.memory.above_4g = memory.size() - options.memory.below_4g;
  options.arm_timer = platform.arm_clock;
  return options;
}

}  // namespace

Platform::Platform(const Options& options)
    : serial_(options.sink, options.pins),
      clock_(clock_options(options), options.pins),
      power_(options.requests, options.pins, {}, options.s5_type),
      reset_port_(options.requests) {
  if (options.battery) {
    battery_.emplace();
  }
  if (options.exit_port) {
    exit_port_.emplace(options.requests);
  }
  if (options.panic_port) {
    panic_port_.emplace(options.requests);
  }
}

std::vector<const AcpiSource*> Platform::acpi_sources() const {
  std::vector<const AcpiSource*> sources = {&power_, &serial_, &clock_};
  if (battery_) {
    sources.push_back(&*battery_);
  }
  if (panic_port_) {
    sources.push_back(&*panic_port_);
  }
  if (generation_id_) {
    sources.push_back(&*generation_id_);
  }
  return sources;
}

Result<std::unique_ptr<Platform>> Platform::create(const Options& options, PortBus& ports,
                                                   MmioBus& mmio) {
  std::unique_ptr<Platform> platform(new Platform(options));
  const auto add = [&ports](IoPort base, std::uint64_t count, IoHandler& handler) {
    return ports.add({*PortRange::create(base, count), &handler});
  };
  TRY(add(kCom1Base, SerialPort::kPortCount, platform->serial_));
  TRY(add(kRtcBase, RtcCmos::kPortCount, platform->clock_));
  TRY(add(kAcpiPmBase, AcpiPm::kPortCount, platform->power_));
  TRY(add(kPostCodePort, 1, platform->post_code_));
  if (platform->exit_port_) {
    TRY(add(kExitPort, ExitPort::kPortCount, *platform->exit_port_));
  }
  if (platform->panic_port_) {
    TRY(add(kPanicPort, 1, *platform->panic_port_));
  }
  if (options.generation_id) {
    platform->generation_id_.emplace(TRY(GenerationId::random()), options.pins);
    TRY(mmio.add(
        {*GuestRange::create(kGenerationIdBase, GenerationId::kSize), &*platform->generation_id_}));
  }
  return platform;
}

Status Platform::renew_generation_id() {
  if (generation_id_) {
    generation_id_->change(TRY(GenerationId::random()));
  }
  return {};
}

void Platform::reset() {
  serial_.reset();
  clock_.reset();
  power_.reset();
  reset_port_.reset();
  post_code_.reset();
}

void Platform::inspect(InspectNode& node) const {
  serial_.inspect(node.child("serial"));
  clock_.inspect(node.child("clock"));
  power_.inspect(node.child("power"));
  reset_port_.inspect(node.child("reset_port"));
  post_code_.inspect(node.child("post_code"));
  if (exit_port_) {
    exit_port_->inspect(node.child("exit_port"));
  }
  if (panic_port_) {
    panic_port_->inspect(node.child("panic_port"));
  }
  if (generation_id_) {
    generation_id_->inspect(node.child("generation_id"));
  }
}

}  // namespace gpuvm
