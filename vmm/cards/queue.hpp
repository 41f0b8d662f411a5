// SPDX-License-Identifier: Apache-2.0
// The queue for cards, over all gpuvms of the host and without a daemon: each guest that waits has
// a ticket, /run/gpuvm/ticket-0000000001, with a number in the order of arrival and with the cards
// that would do for it. The file is locked (flock(2)) while its gpuvm lives, so that the ticket of
// one that was killed counts no more, and goes. Whoever reads or changes the queue, or takes a card
// out of several, holds a lock meanwhile: a file of its own, since every user of the host could
// lock the folder. Missing: a guest whose configuration names its card, and that does not wait,
// takes it without a look at the queue.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm {

constexpr std::string_view kTicketPrefix = "ticket-";
/// Of the name of a ticket's file; nothing: it is none.
std::optional<std::uint64_t> ticket_number(std::string_view name);

/// A guest in the queue.
struct WaitingGuest {
  std::uint64_t number = 0;  ///< of its ticket; lower ones came first
  std::string owner = {};    ///< "the guest main"
  long pid = 0;
  std::vector<Bdf> wants = {};  ///< CardFact::identity of those that would do for it now
  bool wants_any = false;       ///< nobody can read which, or they are too many to list

  bool is_after(const Bdf& identity) const;
  /// "the guest main (gpuvm, pid 12)"
  std::string name() const;
  std::string to_text() const;
  /// Of any text; what is cut short wants any card.
  static WaitingGuest parse(std::uint64_t number, std::string_view text);
};

/// Held for some milliseconds, by one process of the host.
class QueueLock {
 public:
  static constexpr std::string_view kName = "queue";  ///< of its file, which goes with it

  /// Nothing: another process has it. Makes the folder where it is not there. Errors: kHost.
  static Result<std::optional<QueueLock>> try_take(const HostSystem& host);
  static std::string path(const HostSystem& host);
  QueueLock(QueueLock&& other) noexcept = default;
  QueueLock& operator=(QueueLock&&) = delete;
  ~QueueLock();

 private:
  QueueLock(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  UniqueFd file_;  ///< none after a move
  std::string path_;
};

/// Those whose gpuvm lives, first come first. Tickets of others are removed.
std::vector<WaitingGuest> waiting_guests(const HostSystem& host, const QueueLock& lock);

/// The same for who only looks: without the lock, and nothing is removed. Without root some may not
/// be seen.
std::vector<WaitingGuest> visible_guests(const HostSystem& host);

/// A place in the queue, until it goes.
class QueueTicket {
 public:
  /// Behind all `others`. `who`: its number does not count. Errors: kHost.
  static Result<QueueTicket> take(const HostSystem& host, const QueueLock& lock, WaitingGuest who,
                                  const std::vector<WaitingGuest>& others);
  QueueTicket(QueueTicket&& other) noexcept;
  QueueTicket& operator=(QueueTicket&&) = delete;
  ~QueueTicket();

  std::uint64_t number() const { return who_.number; }
  /// Others are told only of a change. Errors: kHost.
  Status want(const QueueLock& lock, std::vector<Bdf> cards);

 private:
  QueueTicket(StateFile file, WaitingGuest who) : file_(std::move(file)), who_(std::move(who)) {}

  std::optional<StateFile> file_;  ///< absent after a move
  WaitingGuest who_;
};

}  // namespace gpuvm
