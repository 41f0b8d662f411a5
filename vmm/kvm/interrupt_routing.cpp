// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/interrupt_routing.hpp"

#include <cstring>
#include <utility>
#include <vector>

#include "vmm/base/log.hpp"
#include "vmm/kvm/kvm_uapi.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kPicPins = 8;  ///< each of master and slave
/// KVM's limit is 4096 routes on x86 (KVM_MAX_IRQ_ROUTES); pins take 40.
constexpr std::uint32_t kMaxGsi = 4000;

kvm_irq_routing_entry pin_route(std::uint32_t gsi, std::uint32_t chip, std::uint32_t pin) {
  kvm_irq_routing_entry entry{};
  entry.gsi = gsi;
  entry.type = KVM_IRQ_ROUTING_IRQCHIP;
  entry.u.irqchip.irqchip = chip;
  entry.u.irqchip.pin = pin;
  return entry;
}

/// The wiring of a PC: GSI 0 to 15 to both PICs and the I/O APIC (the timer on its pin 2), the rest
/// to the I/O APIC.
std::vector<kvm_irq_routing_entry> pin_routes() {
  std::vector<kvm_irq_routing_entry> entries;
  for (std::uint32_t gsi = 0; gsi < 2 * kPicPins; ++gsi) {
    const bool master = gsi < kPicPins;
    entries.push_back(
        pin_route(gsi, master ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % kPicPins));
  }
  for (std::uint32_t gsi = 0; gsi < InterruptRouting::kIoApicPins; ++gsi) {
    if (gsi != 2) {  // the PICs' cascade
      entries.push_back(pin_route(gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi));
    }
  }
  return entries;
}

kvm_irq_routing_entry msi_route(std::uint32_t gsi, const MsiMessage& message) {
  kvm_irq_routing_entry entry{};
  entry.gsi = gsi;
  entry.type = KVM_IRQ_ROUTING_MSI;
  entry.u.msi.address_lo = static_cast<std::uint32_t>(message.address);
  entry.u.msi.address_hi = static_cast<std::uint32_t>(message.address >> 32);
  entry.u.msi.data = message.data;
  return entry;
}

Error no_vm() {
  return fail(ErrorKind::kInternal, "There is no VM to connect an interrupt to");
}

}  // namespace

Status InterruptRouting::attach(VmIoctl vm) {
  const MutexLock lock(mutex_);
  vm_ = std::move(vm);
  return publish();
}

Status InterruptRouting::publish() {
  if (!vm_) {
    return no_vm();
  }
  auto entries = pin_routes();
  for (const auto& [gsi, message] : routes_) {
    entries.push_back(msi_route(gsi, message));
  }
  std::vector<std::byte> buffer(sizeof(kvm_uapi::RoutingHead) + entries.size() * sizeof entries[0]);
  kvm_uapi::RoutingHead head{};
  head.nr = static_cast<std::uint32_t>(entries.size());
  std::memcpy(buffer.data(), &head, sizeof head);
  std::memcpy(buffer.data() + sizeof head, entries.data(), entries.size() * sizeof entries[0]);
  ++updates_;
  if (vm_(kvm_uapi::kSetGsiRouting, buffer.data()) != 0) {
    return fail_errno(ErrorKind::kInternal, fmt::format("Cannot set {} interrupt routes", head.nr));
  }
  return {};
}

Status InterruptRouting::set_irqfd(Gsi gsi, int event_fd, std::uint32_t flags, int resample_fd) {
  if (!vm_) {
    return no_vm();
  }
  kvm_irqfd request{};
  request.fd = static_cast<std::uint32_t>(event_fd);
  request.gsi = gsi.value();
  request.flags = flags;
  request.resamplefd = static_cast<std::uint32_t>(resample_fd);
  if (vm_(KVM_IRQFD, &request) != 0) {
    return fail_errno(ErrorKind::kInternal,
                      fmt::format("Cannot connect an eventfd to GSI {}", gsi.value()));
  }
  return {};
}

/// Without a VM there is nothing to disconnect: its irqfds went with it.
void InterruptRouting::drop_irqfd(Gsi gsi, int event_fd) {
  if (!vm_) {
    return;
  }
  if (const auto status = set_irqfd(gsi, event_fd, KVM_IRQFD_FLAG_DEASSIGN, 0); !status) {
    log::error("{}", status.error().to_string());
  }
}

Result<Gsi> InterruptRouting::connect(int event_fd, MsiMessage message) {
  const MutexLock lock(mutex_);
  std::uint32_t gsi = kIoApicPins;
  for (const auto& [used, unused] : routes_) {
    if (used != gsi) {
      break;
    }
    ++gsi;
  }
  if (gsi >= kMaxGsi) {
    return fail(ErrorKind::kHost, "No interrupt route is left for another MSI vector");
  }
  routes_[gsi] = message;
  auto status = publish();
  if (status) {
    status = set_irqfd(Gsi(gsi), event_fd, 0, 0);
  }
  if (!status) {
    routes_.erase(gsi);
    return std::move(status).error();
  }
  return Gsi(gsi);
}

Status InterruptRouting::update(Gsi route, MsiMessage message) {
  const MutexLock lock(mutex_);
  const auto found = routes_.find(route.value());
  if (found == routes_.end()) {
    return fail(ErrorKind::kInternal, "GSI {} is no MSI route", route.value());
  }
  if (found->second == message) {
    return {};
  }
  const MsiMessage before = std::exchange(found->second, message);
  auto status = publish();
  if (!status) {
    found->second = before;  // which is where it goes still
  }
  return status;
}

void InterruptRouting::disconnect(Gsi route, int event_fd) {
  const MutexLock lock(mutex_);
  drop_irqfd(route, event_fd);
  // The stale route stays published until the next change: without an irqfd nothing can use it.
  routes_.erase(route.value());
}

void InterruptRouting::set_level(Gsi pin, bool high) {
  const MutexLock lock(mutex_);
  if (!vm_) {
    return;  // the next one's pins are low
  }
  kvm_irq_level request{};
  request.irq = pin.value();
  request.level = high ? 1 : 0;
  vm_(KVM_IRQ_LINE, &request);  // fails only without an irqchip, which is always there
}

Status InterruptRouting::connect_level(Gsi pin, int trigger_fd, int resample_fd) {
  const MutexLock lock(mutex_);
  return set_irqfd(pin, trigger_fd, KVM_IRQFD_FLAG_RESAMPLE, resample_fd);
}

void InterruptRouting::disconnect_level(Gsi pin, int trigger_fd) {
  const MutexLock lock(mutex_);
  drop_irqfd(pin, trigger_fd);
}

std::size_t InterruptRouting::route_count() const {
  const MutexLock lock(mutex_);
  return routes_.size();
}

void InterruptRouting::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("msi_routes", std::uint64_t{routes_.size()});
  node.field("updates", updates_);
}

}  // namespace gpuvm
