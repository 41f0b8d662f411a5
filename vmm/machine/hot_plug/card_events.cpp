// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/card_events.hpp"

#include <utility>

#include "vmm/base/log.hpp"

namespace gpuvm {

CardEvents::CardEvents(boost::asio::io_context& context, Handlers handlers)
    : context_(context), handlers_(std::move(handlers)) {}

CardEvents::~CardEvents() = default;

Status CardEvents::prepare(const std::string& card, const std::vector<PhysicalDevice*>& devices) {
  auto events = TRY(DeviceEvents::create(
      context_, devices,
      {.on_error = [this, card](const Error& error) { handlers_.on_error(card, error); },
       .on_request = [this, card](const std::string&) { handlers_.on_request(card); }}));
  const MutexLock lock(mutex_);
  prepared_[card] = std::move(events);
  return {};
}

void CardEvents::start() {
  Cards prepared;
  {
    const MutexLock lock(mutex_);
    prepared.swap(prepared_);
  }
  for (auto& [card, events] : prepared) {
    if (const auto started = events->start(); !started) {
      log::warn("{}: Nobody will hear of its errors: {}", card, started.error().to_string());
    }
    started_[card] = std::move(events);
  }
}

void CardEvents::forget(const std::string& card) {
  started_.erase(card);
  const MutexLock lock(mutex_);
  prepared_.erase(card);
}

}  // namespace gpuvm
