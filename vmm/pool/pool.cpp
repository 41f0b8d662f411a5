// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/pool.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/log.hpp"
#include "vmm/base/result.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/guests/peer.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/login/running_guest.hpp"
#include "vmm/pool/children.hpp"
#include "vmm/pool/member.hpp"
#include "vmm/pool/pool_config.hpp"
#include "vmm/pool/pool_wire.hpp"
#include "vmm/pool/taker_queue.hpp"

namespace gpuvm::pool {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kAnswerTime{1000};
/// A guest says that it waits, and how it ended.
constexpr unsigned kMostWords = 16;
/// A guest without a card is stopped at once; what takes longer hangs.
constexpr milliseconds kEndTime{30000};

sigset_t ending_signals() {
  sigset_t set{};
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    ::sigaddset(&set, signal);
  }
  return set;
}

/// A guest's process. Of one that was taken the pool has no lease.
struct Guest {
  Child child = {};
  std::string name = {};
  std::string socket = {};
  LineReceiver lines{LineReceiver::Descriptors::kTaken, kMostMemberWords};
  std::optional<Clock::time_point> kill_at = {};  ///< it is to end; killed then
  bool is_killed = false;
  bool has_waited = false;
  unsigned words = 0;  ///< that it has said to the pool
};

class Pool {
 public:
  Pool(const PoolOptions& options, GuestSocketClaim claim, std::vector<int> kept)
      : options_(options), kept_(std::move(kept)), book_(options.book), claim_(std::move(claim)) {}

  Status open();
  Result<int> run();

 private:
  using Number = PoolBook::Number;

  void fill();
  void start_guest();
  void end_overdue();
  void kill_late();
  void end_guest(Number number);
  void wait();
  void serve(const std::vector<pollfd>& polled, const std::vector<Number>& guests);
  void hear_guest(Number number);
  void guest_failed(const Guest& guest, const Error& error);
  void guest_ended(Number number);
  void give_away();
  void give(Number number, int taker);
  int patience();
  void wait_for_all();

  const PoolOptions& options_;
  const std::vector<int> kept_;
  PoolBook book_;
  GuestSocketClaim claim_;
  UniqueFd listener_;
  UniqueFd signals_;
  std::map<Number, std::unique_ptr<Guest>> guests_;
  std::optional<TakerQueue> takers_;
  bool is_full_told_ = false;
  bool is_over_ = false;
  std::optional<Error> hopeless_;
};

Status Pool::open() {
  TakerQueue::Options takers;
  takers.pool = options_.name;
  takers.machine = options_.machine;
  if (!options_.config.control.group.empty()) {
    takers.group = TRY(group_of_socket(options_.config.control.group));
  }
  listener_ = TRY(claim_.listen(takers.group));
  takers_.emplace(std::move(takers));
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return signals_ ? Status() : fail_errno(ErrorKind::kHost, "Cannot wait for signals");
}

void Pool::start_guest() {
  const Number number = book_.started(Clock::now());
  auto guest = std::make_unique<Guest>();
  const auto started = [&]() -> Status {
    guest->name = TRY(fresh_member_name(options_.name));
    guest->socket = TRY(guest_socket_path(guest->name));
    auto config = TRY(member_config(options_.config, guest->name));
    guest->child = TRY(start_child(kept_, ending_signals(), [&](UniqueFd lease) {
      MemberOptions member;
      member.config = std::move(config);
      member.config_file = options_.config_file;
      member.lease = std::move(lease);
      member.pool_socket = claim_.path();
      return run_member(std::move(member));
    }));
    return {};
  }();
  if (!started) {
    log::warn("Cannot start a guest of the pool: {}", started.error().to_string());
    book_.ended(number, Clock::now());
    return;
  }
  log::debug("The guest {} boots (pid {})", guest->name, guest->child.pid);
  guests_.emplace(number, std::move(guest));
}

void Pool::fill() {
  while (!is_over_ && book_.wanted(Clock::now()) > 0) {
    start_guest();  // one that cannot be started is a failure, which the others wait for
  }
  const bool is_full = book_.count(PoolBook::State::kReady) == book_.size();
  if (is_full && !std::exchange(is_full_told_, true)) {
    log::info("The pool {} is full: {} guests wait", options_.name, book_.size());
  }
  is_full_told_ = is_full;
}

/// By its lease, and where that does not help by a signal.
void Pool::end_guest(Number number) {
  Guest& guest = *guests_.at(number);
  guest.child.lease.reset();
  guest.kill_at = Clock::now() + kEndTime;
}

void Pool::end_overdue() {
  for (const Number number : book_.overdue(Clock::now())) {
    log::warn("The guest {} has not said within {} s that it waits: it is ended",
              guests_.at(number)->name,
              std::chrono::duration_cast<std::chrono::seconds>(options_.book.boot_limit).count());
    end_guest(number);
  }
}

void Pool::kill_late() {
  for (auto& [number, guest] : guests_) {
    if (guest->kill_at && !guest->is_killed && Clock::now() >= *guest->kill_at) {
      log::warn("The guest {} does not end: it is killed", guest->name);
      ::kill(guest->child.pid, SIGKILL);
      guest->is_killed = true;
    }
  }
}

void Pool::hear_guest(Number number) {
  Guest& guest = *guests_.at(number);
  auto progress = LineReceiver::Progress::kLine;
  while ((progress = guest.lines.receive(guest.child.lease.get())) ==
         LineReceiver::Progress::kLine) {
    if (++guest.words > kMostWords) {
      log::warn("The guest {} says too much: it is ended", guest.name);
      break;  // who never stops would keep the pool from everybody else
    }
    const auto word = read_member_word(guest.lines.line());
    if (word && word->kind == MemberWord::Kind::kReady) {
      log::debug("The guest {} waits", guest.name);
      guest.has_waited = true;
      book_.ready(number);
    } else if (word && word->result.error) {
      guest_failed(guest, *word->result.error);
    }
  }
  if (progress != LineReceiver::Progress::kMore) {  // it does not hear the pool any more
    book_.ending(number);
    end_guest(number);
  }
}

/// What is wrong with the configuration does not pass, and is the same for each guest: a pool whose
/// first guests say that ends as `gpuvm run` does, for whoever looks after it to see.
void Pool::guest_failed(const Guest& guest, const Error& error) {
  log::warn("The guest {}: {}", guest.name, error.to_string());
  if (error.kind() == ErrorKind::kConfig && book_.is_unproven() && !is_over_) {
    is_over_ = true;
    hopeless_ = error;
  }
}

void Pool::guest_ended(Number number) {
  const Guest& guest = *guests_.at(number);
  const auto was = book_.state_of(number);
  if (guest.child.lease) {
    hear_guest(number);  // its last words
  }
  const std::string how = reap(guest.child);
  if (const auto folder = guest_folder(HostSystem())) {
    RunningGuest::forget_killed(*folder, guest.name);
  }
  book_.ended(number, Clock::now());
  if (was == PoolBook::State::kTaken) {
    log::debug("The guest {} is over ({})", guest.name, how);
  } else if (!is_over_) {
    log::warn("The guest {} ended {} ({}): another one is started{}", guest.name,
              guest.has_waited ? "while it waited" : "before it was ready", how,
              book_.failures() > 1 ? " after a while" : "");
  }
  guests_.erase(number);
}

/// Where who wanted it is gone, the guest goes with the lease that nobody has.
void Pool::give(Number number, int taker) {
  Guest& guest = *guests_.at(number);
  const UniqueFd lease = std::move(guest.child.lease);
  const TakenGuest taken{.name = guest.name, .socket = guest.socket, .pid = guest.child.pid};
  if (const auto sent = send_line(taker, to_line(taken), kAnswerTime, lease.get()); !sent) {
    log::info("Who wanted the guest {} is gone: it is ended", guest.name);
    return;
  }
  log::info("The guest {} is taken; {} wait", guest.name, book_.count(PoolBook::State::kReady));
}

/// Who came first is served first.
void Pool::give_away() {
  for (int taker = takers_->first(); taker >= 0; taker = takers_->first()) {
    const auto number = book_.take();
    if (!number) {
      return;
    }
    give(*number, taker);
    takers_->first_is_served();
  }
}

int Pool::patience() {
  auto next = book_.next_look(Clock::now());
  const auto consider = [&next](Clock::time_point time) {
    next = next ? std::min(*next, time) : time;
  };
  for (const auto& [number, guest] : guests_) {
    if (guest->kill_at && !guest->is_killed) {
      consider(*guest->kill_at);
    }
  }
  if (const auto time = takers_->drop_late(Clock::now())) {
    consider(*time);
  }
  if (!next) {
    return -1;
  }
  const auto rest = std::chrono::ceil<milliseconds>(*next - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 3'600'000));
}

void Pool::wait() {
  std::vector<pollfd> polled = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                {.fd = listener_.get(), .events = 0, .revents = 0}};
  std::vector<Number> guests;
  for (const auto& [number, guest] : guests_) {
    guests.push_back(number);
    polled.push_back({.fd = guest->child.process.get(), .events = POLLIN, .revents = 0});
    polled.push_back({.fd = guest->child.lease.get(), .events = POLLIN, .revents = 0});
  }
  const int rest = patience();  // which drops takers
  takers_->add_to(polled);
  polled[1].events = takers_->listens(Clock::now()) ? POLLIN : 0;
  if (::poll(polled.data(), polled.size(), rest) > 0) {
    serve(polled, guests);
  }
}

void Pool::serve(const std::vector<pollfd>& polled, const std::vector<Number>& guests) {
  constexpr std::size_t kFirstGuest = 2;
  if (polled[0].revents != 0) {
    is_over_ = true;
    return;
  }
  const std::size_t first_taker = kFirstGuest + 2 * guests.size();
  takers_->serve(std::span(polled).subspan(first_taker));
  for (std::size_t i = 0; i < guests.size(); ++i) {
    if (polled[kFirstGuest + 2 * i].revents != 0) {
      guest_ended(guests[i]);
    } else if (polled[kFirstGuest + 2 * i + 1].revents != 0) {
      hear_guest(guests[i]);
    }
  }
  if (polled[1].revents != 0) {
    takers_->admit(listener_.get(), Clock::now());
  }
}

/// Those that are somebody's go on without the pool.
void Pool::wait_for_all() {
  takers_->refuse_all();
  std::size_t taken = 0;
  for (auto it = guests_.begin(); it != guests_.end();) {
    if (!it->second->child.lease && !it->second->kill_at) {
      ++taken;
      it = guests_.erase(it);
    } else {
      end_guest(it->first);
      ++it;
    }
  }
  if (taken > 0) {
    log::info("{} guests of the pool go on with who took them", taken);
  }
  while (!guests_.empty()) {
    wait();
    kill_late();
  }
}

Result<int> Pool::run() {
  while (!is_over_) {
    end_overdue();
    kill_late();
    fill();
    give_away();
    wait();
  }
  log::info("The pool {} ends", options_.name);
  listener_.reset();
  signals_.reset();
  wait_for_all();
  return hopeless_ ? Result<int>(*hopeless_) : Result<int>(0);
}

}  // namespace

Result<int> run_pool(const PoolOptions& options) {
  TRY(check_pool_config(options.config));
  TRY(member_config(options.config, options.name));  // what is wrong with it is told now
  const std::string path = TRY(pool_socket_path(options.name));
  auto kept = TRY(open_descriptors());
  auto claim = TRY_CONTEXT(GuestSocketClaim::take(path), "The pool " + options.name);
  Pool pool(options, std::move(claim), std::move(kept));
  TRY(pool.open());
  return pool.run();
}

}  // namespace gpuvm::pool
