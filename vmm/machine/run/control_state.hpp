// SPDX-License-Identifier: Apache-2.0
// ControlLoop::Impl: what the control loop knows, and its decisions. Of control_loop.cpp,
// control_end.cpp, control_cards.cpp and control_requests.cpp alone.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/asio.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/control/reboot_backoff.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/run/guest_machine.hpp"
#include "vmm/machine/run/worker.hpp"

namespace gpuvm {

/// SIGUSR1 and SIGUSR2.
sigset_t requests_by_signal();

/// All members belong to the control thread, but for those that say otherwise.
struct ControlLoop::Impl {
  /// What the worker does.
  enum class Work {
    kNone,
    kBuild,
    kPowerOn,
    kReboot,
    kPause,
    kResume,
    kAttach,
    kAsk,
    kTakeOut,
    kStop
  };
  /// What somebody asks for.
  enum class Wish { kPressPowerButton, kReboot, kPause, kResume, kAttach, kDetach, kStop };
  struct Request {
    Wish wish;
    Done done;
    std::string device = {};  ///< of kAttach and kDetach
  };
  /// A card that the guest is asked for.
  struct Leaving {
    std::string device;
    std::uint8_t port = 0;
    std::uint64_t number = 0;  ///< of all that were asked for
    Done done;
    bool is_due = false;  ///< the guest has let it go, or its time is over
    std::unique_ptr<boost::asio::steady_timer> timer = {};
  };

  Impl(Options options, GuestEvents& events);
  ~Impl();

  // The run, in control_loop.cpp.
  void begin(Work next, std::function<Status()> job);
  void end_work(const Status& status);
  void end_build(const Status& status);
  void end_power_on(const Status& status);
  void end_reboot(const Status& status);
  void end_resume(const Status& status);
  void end_stop(const Status& status);
  void proceed();
  void finish(RunEnd how, int exit_status, std::optional<Error> error = std::nullopt);
  void finish(Error error) { finish(RunEnd::kFailed, exit_status(error.kind()), error); }
  void post_reset(const char* why);
  void handle_reset(const char* why);
  void begin_reboot(std::chrono::seconds wait = {});
  void begin_stop();
  RunResult run(GuestMachine& what);
  RunResult take_result();

  // Its end, in control_end.cpp.
  void ask_for_end(int status);
  void press_for_end(int status);
  void wait_for_signal();
  void handle_signal(int number);
  void handle_exit(std::uint32_t status);
  void handle_panic(GuestPanic panic);
  std::chrono::seconds wait_of_reboot();
  void rest(std::chrono::seconds wait);

  // Cards that come and go, in control_cards.cpp.
  void begin_attach(std::string device);
  void end_attach(const Status& status);
  void begin_ask(std::string device);
  void end_ask(const Status& status);
  void end_grace(std::uint64_t number);
  void begin_take_out();
  bool is_card_due() const;
  void hurry_cards();
  void refuse_cards();
  void lose_card(std::string device);
  /// True: hear_slots() is to be called. Any thread.
  bool note_slot(std::uint8_t port, bool is_powered) GPUVM_EXCLUDES(news_mutex);
  void hear_slots() GPUVM_EXCLUDES(news_mutex);
  void slot_switched(std::uint8_t port, bool is_powered);

  // Requests, in control_requests.cpp.
  void request(Request request) GPUVM_EXCLUDES(mailbox_mutex);
  void take_mail() GPUVM_EXCLUDES(mailbox_mutex);
  void carry_out(Request request);
  void answer_at_rest();
  void refuse(const Request& request) const;
  void refuse_all();
  void answer(const Status& status);
  Error wrong_state() const;
  void tell_subscribers(const GuestEvent& event) GPUVM_EXCLUDES(subscribers_mutex);

  const Options options;
  GuestEvents& events;
  boost::asio::io_context context{1};
  boost::asio::signal_set signals;
  boost::asio::steady_timer grace;
  std::uint64_t event_number = 0;  ///< of our own observer

  GuestMachine* machine = nullptr;  ///< during run()
  Work work = Work::kNone;
  bool is_built = false;
  bool is_running = false;  ///< powered on; also while it is paused
  bool is_paused = false;
  bool end_asked = false;
  /// The last signal that asked so, and when.
  std::optional<std::pair<int, std::chrono::steady_clock::time_point>> signalled;
  int status_if_forced = 0;                  ///< of who asked
  std::optional<std::uint64_t> ending_life;  ///< the life that a reboot at work ends
  std::optional<std::uint64_t> crashed_in;   ///< the life whose crash kernel took over last
  const char* next_reset = nullptr;          ///< the guest's wish, until the work is done
  RebootBackoff backoff{options.reboot_backoff};
  std::optional<RunResult> result;  ///< set: the guest is to end, or has
  std::optional<Error> stop_error;
  bool is_over = false;
  std::deque<Request> waiting;  ///< in the order of the calls
  std::deque<Leaving> leaving;  ///< in the order in which they were asked for
  std::uint64_t last_leaving = 0;
  std::set<std::uint8_t> slots_without_power;
  log::RateLimit slot_events{20};  ///< a guest switches as often as it likes
  /// What the control thread has not heard yet of slots. A guest switches faster than it hears, so
  /// that two words for each slot are kept, and not one for each time.
  struct SlotNews {
    bool went_off = false;  ///< at some time; who was asked for the card has let it go
    bool is_on = false;     ///< the last word
  };
  Mutex news_mutex;
  std::map<std::uint8_t, SlotNews> slot_news GPUVM_GUARDED_BY(news_mutex);
  /// Of the kAsk that the worker does, which writes `slot` and is done with it before end_ask().
  struct Asking {
    std::string device = {};
    GuestMachine::AskedSlot slot = {};
  } asking;
  Done answer_to;  ///< whose request the worker carries out
  std::vector<Done> stop_answers;

  std::atomic<bool> is_unwanted{false};  ///< what the worker's work leads to; any thread
  std::atomic<std::uint64_t> life{0};    ///< reboots so far; any thread
  /// A reboot at work waits for its time, and goes on at once when this is false; any thread.
  std::atomic<bool> is_resting{false};
  /// As the last event said; any thread.
  std::atomic<LifecycleState> state{LifecycleState::kCreated};

  mutable Mutex machine_mutex;  ///< held during inspect(), so that run() cannot end meanwhile
  const GuestMachine* shown_machine GPUVM_GUARDED_BY(machine_mutex) = nullptr;

  Mutex mailbox_mutex;
  std::deque<Request> mailbox GPUVM_GUARDED_BY(mailbox_mutex);
  bool is_closed GPUVM_GUARDED_BY(mailbox_mutex) = false;

  Mutex subscribers_mutex;
  std::vector<std::pair<std::uint64_t, std::shared_ptr<const GuestObserver>>> subscribers
      GPUVM_GUARDED_BY(subscribers_mutex);
  std::uint64_t last_subscriber GPUVM_GUARDED_BY(subscribers_mutex) = 0;

  Worker worker{"worker"};  ///< last: its work uses all of the above
};

}  // namespace gpuvm
