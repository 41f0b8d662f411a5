// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/hot_plug.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/bdf.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/hot_plug/lent_card.hpp"

namespace gpuvm {
namespace {

/// As "01:00.0" and "0000:01:00.0" are one function.
std::string full_name(const std::string& device) {
  const auto bdf = Bdf::parse(device);
  return bdf ? bdf->to_string() : device;
}

Error no_slot(bool has_slots) {
  constexpr std::string_view kNone =
      "The guest has no port for a card that comes later: set [machine] free_ports before it "
      "starts, with attachable and sandbox.owner = \"process\" or with sandbox.mode = \"off\"";
  constexpr std::string_view kFull = "Each port that was kept free (machine.free_ports) has a card";
  return fail(ErrorKind::kWrongState, "{}", has_slots ? kFull : kNone);
}

}  // namespace

HotPlug::HotPlug(HotPlugMachine machine) : machine_(std::move(machine)) {
  for (const std::uint8_t port : machine_.pci.free_ports()) {
    slots_.push_back(std::make_unique<HotSlot>(HotSlot::Options{
        .port = port, .exclusively = machine_.exclusively, .on_step = machine_.on_step}));
  }
}

/// What a lender takes, by its number; or nothing: this process takes it.
Result<std::optional<std::uint32_t>> HotPlug::number_of(const std::string& device) const {
  const auto& cards = machine_.attachable;
  if (machine_.lender == nullptr && machine_.is_confined) {
    return fail(ErrorKind::kWrongState,
                "This gpuvm cannot take a card any more: that takes the owner's process "
                "(sandbox.owner), which there is where root starts it, or sandbox.mode = \"off\"");
  }
  if (machine_.lender == nullptr && cards.empty()) {
    return std::optional<std::uint32_t>();
  }
  const auto bdf = Bdf::parse(device);
  const auto found = std::find_if(cards.begin(), cards.end(), [&bdf](const AttachableCard& card) {
    return bdf && (card.bdf == *bdf || card.bdf.same_slot(*bdf));
  });
  if (found == cards.end()) {
    return fail(ErrorKind::kConfig,
                "{} is none of the cards that this guest may have: they are listed in "
                "machine.attachable, which is read when it starts",
                device);
  }
  return machine_.lender == nullptr
             ? std::optional<std::uint32_t>()
             : std::optional(static_cast<std::uint32_t>(found - cards.begin()));
}

std::unique_ptr<HotCard> HotPlug::make_lent_card(const std::string& device, std::uint8_t port,
                                                 std::uint32_t number) const {
  auto functions = machine_.attachable[number].functions;
  for (HostFunction& function : functions) {
    function.port = port;
  }
  return std::make_unique<LentCard>(machine_, port, full_name(device), std::move(functions),
                                    number);
}

/// As an entry of [[pci]] without keys but scrub would have it.
Result<std::unique_ptr<HotCard>> HotPlug::make_card(const std::string& device,
                                                    std::uint8_t port) const {
  if (const auto number = TRY(number_of(device))) {
    return make_lent_card(device, port, *number);
  }
  PciConfig entry;
  entry.place.text = "The card to attach";  // which no file names
  entry.port = port;
  entry.scrub = machine_.scrub;
  if (device.starts_with('/')) {
    entry.socket = device;
  } else if (const auto bdf = Bdf::parse(device)) {
    entry.host = *bdf;
  } else {
    return fail(ErrorKind::kConfig,
                "{} is no address of a PCI function such as 0000:01:00.0 (`gpuvm devices`)",
                device);
  }
  auto functions = TRY(resolve_functions(machine_.host, {entry}));
  return std::unique_ptr<HotCard>(
      std::make_unique<HostCard>(machine_, port, full_name(device), std::move(functions)));
}

Status HotPlug::attach(const std::string& device, const HotCard::IsUnwanted& is_unwanted) {
  const auto name = full_name(device);
  const auto has_it = [&name](const auto& slot) { return slot->has(name); };
  if (std::any_of(slots_.begin(), slots_.end(), has_it)) {
    return fail(ErrorKind::kWrongState, "The guest has {} already", name);
  }
  const auto empty = std::find_if(slots_.begin(), slots_.end(), [](const auto& slot) {
    return slot->state() == SlotState::kEmpty;
  });
  if (empty == slots_.end()) {
    return no_slot(!slots_.empty());
  }
  auto card = TRY(make_card(device, (*empty)->port()));
  return (*empty)->attach(std::move(card), is_unwanted);
}

Result<HotPlug::Card> HotPlug::card(const std::string& device) const {
  const HotSlot& slot = *TRY(slot_of(device));
  return Card{.name = slot.card_name(), .devices = slot.devices()};
}

Result<HotSlot*> HotPlug::slot_of(const std::string& device) const {
  const auto name = full_name(device);
  const auto found = std::find_if(slots_.begin(), slots_.end(),
                                  [&name](const auto& slot) { return slot->has(name); });
  if (found == slots_.end()) {
    return fail(ErrorKind::kWrongState,
                "{} has not come to this guest by an attach, so it cannot go while that runs",
                name);
  }
  return found->get();
}

Result<HotPlug::Asked> HotPlug::ask_for(const std::string& device) {
  HotSlot& slot = *TRY(slot_of(device));
  const bool is_released = TRY(slot.ask());
  return Asked{.port = slot.port(), .is_released = is_released, .card = slot.card_name()};
}

Status HotPlug::take_out(const std::string& device) {
  return TRY(slot_of(device))->take_out();
}

bool HotPlug::has_cards() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const auto& slot) { return slot->state() != SlotState::kEmpty; });
}

Status HotPlug::reset(ResetReason reason) {
  WorstError errors;
  for (const auto& slot : slots_) {
    errors.add(slot->reset(reason));
  }
  return errors.take();
}

void HotPlug::inspect(InspectNode& node) const {
  for (const auto& slot : slots_) {
    slot->inspect(node.child(fmt::format("port_{}", slot->port())));
  }
}

}  // namespace gpuvm
