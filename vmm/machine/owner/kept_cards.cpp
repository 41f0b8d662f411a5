// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/kept_cards.hpp"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include "vmm/base/async.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

/// Children that write to sysfs (vmm/host/patient_write.hpp) have none of a monitor's files. What
/// still has a group open after this is somebody else.
constexpr milliseconds kLongestClose{10000};
constexpr milliseconds kCloseLook{100};

/// The link of its card would be asked of another function, and a token is needed (vf_token).
Status check_whole_card(const HostSystem& host, const Bdf& bdf) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  return device.physical_function()
             ? Status(fail(ErrorKind::kConfig,
                           "{} is a virtual function, which an owner's process does not take for a "
                           "guest that runs: name it in [[pci]]",
                           bdf.to_string()))
             : Status();
}

/// Each file once: what is handed on is not kept.
Result<CardFile> fetch(UniqueFd& file, std::uint32_t value) {
  if (!file) {
    return fail(ErrorKind::kWrongState, "The file has been fetched");
  }
  CardFile fetched;
  fetched.file = std::move(file);
  fetched.value = value;
  return fetched;
}

}  // namespace

void wait_until_closed(const HostSystem& host, const FunctionPointers& functions,
                       const HostSleep& sleep) {
  const auto is_closed = [&host](const HostFunction* function) {
    return check_group_free(host, function->host).has_value();
  };
  for (milliseconds left = kLongestClose; left.count() > 0; left -= kCloseLook) {
    if (std::all_of(functions.begin(), functions.end(), is_closed)) {
      return;
    }
    sleep(kCloseLook);
  }
}

KeptCards::KeptCards(const HostSystem& host, HostOpeners openers, std::string owner,
                     const std::vector<Bdf>& cards, PciScrub scrub)
    : host_(host), openers_(std::move(openers)), owner_(std::move(owner)), scrub_(scrub) {
  for (const Bdf& bdf : cards) {
    auto card = std::make_unique<Card>();
    card->bdf = bdf;
    cards_.push_back(std::move(card));
  }
}

KeptCards::~KeptCards() {
  settle();
}

void KeptCards::settle() const {
  for (const auto& card : cards_) {
    if (card->work.valid()) {
      card->work.wait();
    }
  }
}

Result<KeptCards::Card*> KeptCards::card(std::uint32_t number) {
  return number < cards_.size() ? Result<Card*>(cards_[number].get())
                                : fail(ErrorKind::kInternal,
                                       "No card of machine.attachable has the number {}", number);
}

/// The work is the only one who touches devices and files until it has been heard.
void KeptCards::begin(Card& card, State state) {
  card.state = state;
  card.work = start_async(std::launch::async, [this, &card, state] {
    return state == State::kTaking ? take_now(card) : give_back_now(card);
  });
}

Status KeptCards::take(std::uint32_t number) {
  Card& wanted = *TRY(card(number));
  if (wanted.state != State::kAway) {
    return fail(ErrorKind::kWrongState, "{} is taken already", wanted.bdf.to_string());
  }
  begin(wanted, State::kTaking);
  return {};
}

Status KeptCards::give_back(std::uint32_t number) {
  Card& wanted = *TRY(card(number));
  if (wanted.state != State::kTaken) {
    return fail(ErrorKind::kWrongState, "{} is not taken", wanted.bdf.to_string());
  }
  begin(wanted, State::kGoing);
  return {};
}

Result<bool> KeptCards::is_idle(std::uint32_t number) {
  Card& wanted = *TRY(card(number));
  if (!wanted.work.valid()) {
    return true;
  }
  if (wanted.work.wait_for(milliseconds(0)) == std::future_status::timeout) {
    return false;
  }
  TRY(finish(wanted));
  return true;
}

/// Hears the work, waiting for it where it is not done.
Status KeptCards::finish(Card& card) const {
  Status outcome = card.work.get();
  card.state = card.devices ? State::kTaken : State::kAway;
  return outcome;
}

Result<std::vector<HostFunction>> KeptCards::functions_of(const Bdf& card) const {
  PciConfig entry = entry_of_card(card, scrub_);
  entry.place.text = "machine.attachable";
  auto functions = TRY(resolve_functions(host_, {entry}));
  for (const HostFunction& function : functions) {
    TRY(check_whole_card(host_, function.host));
  }
  return functions;
}

/// What a start does with all functions (HostCard::take() and verify()).
Status KeptCards::take_now(Card& card) const {
  auto functions = TRY(functions_of(card.bdf));
  HostNeeds needs;
  needs.devices = addresses_of(pointers_to(functions));
  auto claims = TRY(DeviceClaims::take(host_, needs.devices, owner_));
  TRY(require_host(host_, needs));
  auto devices = TRY(HostDevices::create(host_, std::move(functions), std::move(claims), openers_));
  MachineReset reset(*devices);
  TRY(reset.recover(ResetReason::kStart, reset.run(ResetReason::kStart)));
  auto files = devices->hand_out();
  if (!files) {
    TRY(reset.release());
    return files.error();
  }
  card.counts = static_cast<std::uint32_t>(files->groups.size() << 16 | files->functions.size());
  card.files = std::move(files).value();
  card.devices = std::move(devices);
  return {};
}

/// What was not fetched is closed first. The functions are closed, and with their drivers, when
/// this returns, but for what is dirty. Where somebody has their files still they stay taken: the
/// monitor's end closes what it has kept back.
Status KeptCards::give_back_now(Card& card) const {
  card.files = CardFiles();
  wait_until_closed(host_, card.devices->host_functions(), openers_.sleep);
  TRY(card.devices->reopen());
  const auto devices = std::move(card.devices);
  MachineReset reset(*devices);
  return reset.recover(ResetReason::kRepair, reset.run(ResetReason::kRepair));
}

Result<CardFile> KeptCards::file(std::uint32_t number, CardFileKind kind, std::uint32_t index) {
  Card& wanted = *TRY(card(number));
  const auto no_file = [&wanted] {
    return fail(ErrorKind::kWrongState, "{} has no such file", wanted.bdf.to_string());
  };
  if (wanted.state != State::kTaken) {
    return no_file();  // before its files are looked at, which are the work's meanwhile
  }
  CardFiles& files = wanted.files;
  const bool is_group = kind == CardFileKind::kGroup;
  const std::size_t count = kind == CardFileKind::kContainer ? 1
                            : is_group                       ? files.groups.size()
                                                             : files.functions.size();
  if (index >= count) {
    return no_file();
  }
  if (kind == CardFileKind::kContainer) {
    return fetch(files.container, wanted.counts);
  }
  if (is_group) {
    return fetch(files.groups[index].file, files.groups[index].number);
  }
  CardFiles::Function& function = files.functions[index];
  if (kind == CardFileKind::kDevice) {
    return fetch(function.device, function.group);
  }
  return kind == CardFileKind::kConfig ? fetch(function.config, card_address(function.bdf))
                                       : fetch(function.resource, 0);
}

HostDevices* KeptCards::card_of(const Bdf& function) {
  for (const auto& card : cards_) {
    if (card->state != State::kTaken) {
      continue;
    }
    const auto ours = addresses_of(card->devices->host_functions());
    if (std::find(ours.begin(), ours.end(), function) != ours.end()) {
      return card->devices.get();
    }
  }
  return nullptr;
}

std::vector<Bdf> KeptCards::functions() const {
  std::vector<Bdf> all;
  for (const auto& card : cards_) {
    if (card->state == State::kTaken) {
      const auto ours = addresses_of(card->devices->host_functions());
      all.insert(all.end(), ours.begin(), ours.end());
    }
  }
  return all;
}

Status KeptCards::give_back_all() {
  WorstError errors;
  for (const auto& card : cards_) {
    const bool was_going = card->state == State::kGoing;
    const Status heard = card->work.valid() ? finish(*card) : Status();
    const bool is_taken = card->state == State::kTaken;
    const bool counts = heard || was_going || heard.error().kind() == ErrorKind::kUnsafeDevice;
    if (counts && !is_taken) {
      errors.add(heard);
    } else if (!heard) {  // one that goes now, or was on its way and is with its driver again
      log::info("{}", heard.error().to_string());
    }
    if (is_taken) {
      begin(*card, State::kGoing);
    }
  }
  for (const auto& card : cards_) {
    errors.add(card->work.valid() ? finish(*card) : Status());
  }
  return errors.take();
}

}  // namespace gpuvm
