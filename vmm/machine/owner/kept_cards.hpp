// SPDX-License-Identifier: Apache-2.0
// KeptCards: the cards that an owner takes for a guest that runs, and gives back: those of its own
// configuration, whatever the monitor says. Each work takes seconds or minutes and is done on a
// thread of its own, while the owner goes on serving.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {

/// Until nobody has their VFIO groups open, 10 s at most: the kernel closes the files of a process
/// that it has ended before it tells so.
void wait_until_closed(const HostSystem& host, const FunctionPointers& functions,
                       const HostSleep& sleep);

/// One thread, beside its own.
class KeptCards {
 public:
  /// `host` must outlive this. `owner`: as DeviceClaims::take(). `cards`: a function of each, with
  /// which the others of its slot come. `scrub`: of these functions, when they go back.
  KeptCards(const HostSystem& host, HostOpeners openers, std::string owner,
            const std::vector<Bdf>& cards, PciScrub scrub = PciScrub::kOff);
  /// Waits for the works.
  ~KeptCards();
  KeptCards(const KeptCards&) = delete;
  KeptCards& operator=(const KeptCards&) = delete;

  // As Owner. Errors: also kInternal: there is no such card.
  Status take(std::uint32_t card);
  Status give_back(std::uint32_t card);
  Result<bool> is_idle(std::uint32_t card);
  Result<CardFile> file(std::uint32_t card, CardFileKind kind, std::uint32_t index);

  /// The functions of a card that is taken and has no work, of which this is one; nullptr: none.
  HostDevices* card_of(const Bdf& function);
  /// Of all cards that are taken.
  std::vector<Bdf> functions() const;
  /// Waits for the works. On any thread, while nothing else is called.
  void settle() const;
  /// Once, when the monitor has ended: waits for the works and gives all back. Errors: the worst.
  Status give_back_all();

 private:
  enum class State {
    kAway,
    kTaking,
    kTaken,
    kGoing,
  };
  struct Card {
    Bdf bdf = {};
    State state = State::kAway;
    std::future<Status> work = {};              ///< of kTaking and kGoing
    std::unique_ptr<HostDevices> devices = {};  ///< the work's, meanwhile
    CardFiles files = {};                       ///< of kTaken, until they are fetched
    std::uint32_t counts = 0;                   ///< as CardFile has it for kContainer
  };
  Result<Card*> card(std::uint32_t number);
  void begin(Card& card, State state);
  Status finish(Card& card) const;
  Status take_now(Card& card) const;
  Status give_back_now(Card& card) const;
  Result<std::vector<HostFunction>> functions_of(const Bdf& card) const;

  const HostSystem& host_;
  const HostOpeners openers_;
  const std::string owner_;
  const PciScrub scrub_;
  std::vector<std::unique_ptr<Card>> cards_;
};

}  // namespace gpuvm
