// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_book.hpp"

#include <algorithm>

#include "devices/physical/reset/bar_check.hpp"

namespace gpuvm {

Status ResetBook::add(PhysicalDevice& device, const FunctionResetOptions& options) {
  {
    const MutexLock lock(mutex_);
    if (entries_.contains(device.name())) {
      return {};
    }
  }
  Entry entry{.options = options, .did_not_help = {}, .guest_says = {}};
  if (!entry.options.known) {
    entry.options.known = TRY(read_function_state(device));
    entry.options.known->answering_bars = find_answering_bars(device);
  }
  const MutexLock lock(mutex_);
  entries_.emplace(device.name(), std::move(entry));
  return {};
}

void ResetBook::remove(const std::string& name) {
  const MutexLock lock(mutex_);
  entries_.erase(name);
}

Result<std::vector<FunctionResetOptions>> ResetBook::options_of(
    std::span<PhysicalDevice* const> devices) const {
  const MutexLock lock(mutex_);
  std::vector<FunctionResetOptions> options;
  for (const PhysicalDevice* const device : devices) {
    const auto found = entries_.find(device->name());
    if (found == entries_.end()) {
      return fail(ErrorKind::kInternal, "Nothing is known of the resets of {}", device->name());
    }
    options.push_back(found->second.options);
  }
  return options;
}

Result<ResetPlan> ResetBook::plan(std::span<PhysicalDevice* const> devices) const {
  const auto options = TRY(options_of(devices));
  return ResetPlan::create(host_, devices, options_, options);
}

ResetPlan ResetBook::current(const ResetPlan& plan, ResetWish wish) const {
  ResetPlan now = plan;
  const MutexLock lock(mutex_);
  now.try_last([this, wish](const std::string& function, ResetMethod method) {
    mutex_.assert_held();
    const auto found = entries_.find(function);
    return found != entries_.end() && found->second.did_not_help.contains(method) &&
           (wish != ResetWish::kNextUser || !found->second.guest_says.contains(method));
  });
  return now;
}

std::vector<ResetCertificate> ResetBook::reset(const ResetPlan& plan, const ResetClock& clock,
                                               ResetWish wish) {
  auto certificates = reset_all(host_, current(plan, wish), clock,
                                wish == ResetWish::kGuest ? &guest_limit_ : nullptr);
  for (const ResetCertificate& certificate : certificates) {
    learn(certificate, wish);
  }
  return certificates;
}

void ResetBook::learn(const ResetCertificate& certificate, ResetWish wish) {
  const bool has_guest = wish == ResetWish::kGuest || wish == ResetWish::kReboot;
  const MutexLock lock(mutex_);
  for (const std::string& name : certificate.names) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
      continue;  // it has left meanwhile
    }
    auto& [options, did_not_help, guest_says] = found->second;
    for (const ResetMethod method : certificate.did_not_help) {
      const bool is_new = did_not_help.insert(method).second;
      if (!has_guest) {
        guest_says.erase(method);
      } else if (is_new) {
        guest_says.insert(method);
      }
    }
    if (certificate.is_safe()) {
      did_not_help.erase(certificate.method);
      guest_says.erase(certificate.method);
    }
  }
}

void ResetBook::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  for (const auto& [name, entry] : entries_) {
    InspectNode& child = node.child(name);
    child.field("looked", entry.options.known ? to_text(*entry.options.known) : "");
    std::string methods;
    for (const ResetMethod method : entry.did_not_help) {
      methods += (methods.empty() ? "" : ", ") + std::string(to_string(method));
    }
    child.field("did_not_help", methods.empty() ? "none" : methods);
  }
}

}  // namespace gpuvm
