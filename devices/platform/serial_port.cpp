// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/serial_port.hpp"

#include <utility>

#include "firmware/acpi/aml_resource.hpp"

namespace gpuvm {

std::size_t SerialPort::receive(std::span<const std::byte> bytes) {
  const MutexLock lock(mutex_);
  const std::size_t taken = uart_.receive(bytes);
  counters_.received += taken;
  input_refused_ = input_refused_ || taken < bytes.size();
  update_interrupt();
  return taken;
}

IoStatus SerialPort::read(std::uint64_t offset, std::span<std::byte> out) {
  if (out.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  if (offset >= kPortCount) {
    return IoStatus::kInvalidRegister;
  }
  bool ready = false;
  {
    const MutexLock lock(mutex_);
    out[0] = std::byte{uart_.read(static_cast<unsigned>(offset))};
    update_interrupt();
    ready = take_input_ready();
  }
  if (ready && input_ready_) {
    input_ready_();
  }
  return IoStatus::kOk;
}

IoStatus SerialPort::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  if (offset >= kPortCount) {
    return IoStatus::kInvalidRegister;
  }
  bool ready = false;
  {
    const MutexLock lock(mutex_);
    const auto output =
        uart_.write(static_cast<unsigned>(offset), std::to_integer<std::uint8_t>(in[0]));
    if (output.has_value()) {
      ++counters_.transmitted;
      sink_.write({&*output, 1});
    }
    update_interrupt();
    ready = take_input_ready();
  }
  if (ready && input_ready_) {
    input_ready_();
  }
  return IoStatus::kOk;
}

aml::Terms SerialPort::acpi() const {
  const aml::PortDescriptor ports{.base = static_cast<std::uint16_t>(kCom1Base.value()),
                                  .length = static_cast<std::uint8_t>(kPortCount)};
  return {aml::device(
      "COM1", {aml::name("_HID", aml::eisa_id("PNP0501")), aml::name("_UID", aml::integer(1)),
               aml::name("_STA", aml::integer(0xf)),
               aml::name("_CRS", aml::resource_template(
                                     {aml::io_range(ports),
                                      aml::irq(kCom1Gsi.value(), aml::kIsaInterrupt)}))})};
}

void SerialPort::reset() {
  bool ready = false;
  {
    const MutexLock lock(mutex_);
    uart_.reset();
    update_interrupt();
    ready = take_input_ready();
  }
  if (ready && input_ready_) {
    input_ready_();
  }
}

void SerialPort::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("transmitted", counters_.transmitted);
  node.field("received", counters_.received);
  node.field("interrupts", counters_.interrupts);
  node.field("input_waiting", std::uint64_t{uart_.receive_waiting()});
  node.hex("interrupt_enable", uart_.interrupt_enable());
  node.hex("line_control", uart_.line_control());
  node.hex("modem_control", uart_.modem_control());
  node.field("divisor", std::uint64_t{uart_.divisor()});
  node.field("interrupt", line_);
}

void SerialPort::update_interrupt() {
  const bool retrigger = uart_.take_retrigger();
  const bool level = uart_.interrupt_line();
  if (line_ && (!level || retrigger)) {
    pins_.set_level(kCom1Gsi, false);
    line_ = false;
  }
  if (level && !line_) {
    pins_.set_level(kCom1Gsi, true);
    line_ = true;
    ++counters_.interrupts;
  }
}

/// Half the queue must be free, so that the host is not woken for every byte.
bool SerialPort::take_input_ready() {
  const bool room = uart_.receive_space() >= Uart16550::kQueueSize / 2;
  return room && std::exchange(input_refused_, false);
}

}  // namespace gpuvm
