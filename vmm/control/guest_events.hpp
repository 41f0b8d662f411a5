// SPDX-License-Identifier: Apache-2.0
// GuestEvent: what happens to a guest, in one form for all who want to know: `gpuvm run --events`,
// observers of a run, and clients of the control socket. event_node() is the only place that writes
// it out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/control/guest_state.hpp"

namespace gpuvm {

/// What a machine holds at one moment, for who looks whether it grows.
struct Holdings {
  std::uint64_t memory_slots = 0;  ///< of KVM: guest memory, mapped BARs, flash
  std::uint64_t heap_bytes = 0;    ///< handed out by the allocator
};

/// The guest has entered another state.
struct StateChange {
  LifecycleState from = LifecycleState::kCreated;
  LifecycleState to = LifecycleState::kCreated;
  Holdings holdings = {};
};

/// Devices of the guest have been reset. Texts are those of the reset's certificate.
struct DevicesReset {
  std::string reason = {};  ///< "start", "reboot", "stop", or what the guest asked for
  std::string functions = {};
  std::string method = {};
  std::string verdict = {};
  std::uint64_t duration_ms = 0;
  std::string text = {};
  std::string bars = {};   ///< of a success: what of the BARs was compared and read
  std::string scrub = {};  ///< what of their memory was overwritten and what was not; or empty
};

/// Memory of a device is overwritten before the next user gets it, which takes its time.
struct ScrubUnderWay {
  std::string function = {};
  std::uint64_t done_bytes = 0;
  std::uint64_t all_bytes = 0;  ///< of the BARs that show it
};

/// A network card's link is gone: the guest sees it down until the next run.
struct NetworkLost {
  std::string network = {};  ///< "net-0"
  std::string text = {};     ///< why
};

/// Who serves a disk is gone: the guest cannot go on.
struct DiskLost {
  std::string disk = {};  ///< "disk-0"
  std::string text = {};  ///< why
};

/// The guest's vsock has this address in this run.
struct VsockReady {
  std::uint32_t cid = 0;
};

/// A shared folder's program has gone, and with it the run ends.
struct ShareLost {
  std::string tag = {};
  std::string text = {};  ///< why
};

/// The guest has said what came of it. Which word counts is for who reads them all.
struct GuestWord {
  /// "exit_port", "pvpanic", "status_port", "vsock", "notify", "result_file"
  std::string channel = {};
  std::string word = {};                     ///< "exit", "ready", "panic", "crash_kernel"
  std::optional<std::uint32_t> status = {};  ///< of "exit": as the guest wrote it
  /// When the guest wrote it, by the host's clock, where that was before the event: of a result
  /// file, which is read at the end.
  std::optional<std::chrono::system_clock::time_point> written = {};
};

/// Somebody else than the guest wants the run to end, and the guest is asked to power off, or is
/// ended. What it says of itself from here on may be a word of its shutdown.
struct EndAsked {
  int signal = 0;  ///< 0: the escape key, or the host, which wants a device back
};

/// The guest reboots in a loop: it starts again after a wait.
struct RebootDelayed {
  std::uint64_t seconds = 0;      ///< that it waits
  std::uint64_t short_lives = 0;  ///< since it last ran for long
};

/// What contains a guest that has taken over a thread of its monitor (docs/security.md).
struct SandboxNews {
  std::string state = {};  ///< "entered", before the guest's first instruction; "violated"
  std::string text = {};   ///< layers in force and those that could not be had; the forbidden call
};

/// A card comes into a hot-plug slot of the running guest, or goes (docs/hotplug.md).
struct CardMoved {
  std::string card = {};  ///< as the user named it: its address, or its server's socket
  std::uint64_t port = 0;
  /// On its way in "claimed", "verified", "mapped", "shown", "announced"; by the guest "powered"
  /// and "unpowered"; on its way out "asked", "unanswered", "withdrawn", "gone".
  std::string step = {};
  std::string text = {};  ///< what else there is to say; or empty
};

struct GuestEvent {
  std::chrono::system_clock::time_point time = {};
  std::string guest = {};  ///< its name
  std::variant<StateChange, DevicesReset, NetworkLost, DiskLost, VsockReady, ShareLost, GuestWord,
               EndAsked, RebootDelayed, SandboxNews, ScrubUnderWay, CardMoved>
      what;
};

/// "2026-01-01T00:00:00.000Z": RFC 3339, in UTC.
std::string time_text(std::chrono::system_clock::time_point time);

/// {"time":"2026-01-01T00:00:00.000Z","guest":"main","event":"state","from":"running",
/// "to":"stopping","memory_slots":6,"heap_bytes":271840}
/// {"time":…,"guest":…,"event":"reset","reason":"start","functions":"…","method":"hot reset",
/// "verdict":"verified","duration_ms":131,"text":"…","bars":"…","scrub":"…"}
/// {"time":…,"guest":…,"event":"scrub","function":"0000:01:00.0","done_bytes":16777216,
/// "all_bytes":17179869184}
/// {"time":…,"guest":…,"event":"word","channel":"exit_port","word":"exit","status":3}
/// {"time":…,"guest":…,"event":"word","channel":"result_file","word":"exit","status":3,
/// "written":"2026-01-01T00:00:00.000Z"}
/// {"time":…,"guest":…,"event":"end_asked","signal":15}
/// {"time":…,"guest":…,"event":"reboot_delayed","seconds":8,"short_lives":9}
/// {"time":…,"guest":…,"event":"network","network":"net-0","link":"down","text":"…"}
/// {"time":…,"guest":…,"event":"disk","disk":"disk-0","state":"lost","text":"…"}
/// {"time":…,"guest":…,"event":"vsock","cid":81985529}
/// {"time":…,"guest":…,"event":"share","tag":"home","state":"lost","text":"…"}
/// {"time":…,"guest":…,"event":"sandbox","state":"entered","text":"seccomp (12 roles), …"}
/// {"time":…,"guest":…,"event":"card","card":"0000:01:00.0","port":3,"step":"announced"}
InspectNode event_node(const GuestEvent& event);

/// Who is told of events. Must return soon and not call back into where the event comes from.
using GuestObserver = std::function<void(const GuestEvent&)>;

/// Passes events on, in one order for all observers. Any thread.
class GuestEvents {
 public:
  explicit GuestEvents(std::string guest) : guest_(std::move(guest)) {}

  /// `observer` is called from the thread that publishes, one event at a time, until remove() with
  /// the returned number has returned.
  std::uint64_t add(GuestObserver observer) GPUVM_EXCLUDES(mutex_);
  void remove(std::uint64_t observer) GPUVM_EXCLUDES(mutex_);

  void state(const StateChange& change) { publish({.what = change}); }
  void reset(DevicesReset reset) { publish({.what = std::move(reset)}); }
  void network(NetworkLost lost) { publish({.what = std::move(lost)}); }
  void disk(DiskLost lost) { publish({.what = std::move(lost)}); }
  void vsock(VsockReady ready) { publish({.what = ready}); }
  void share(ShareLost lost) { publish({.what = std::move(lost)}); }
  void word(GuestWord word) { publish({.what = std::move(word)}); }
  void scrub(ScrubUnderWay progress) { publish({.what = std::move(progress)}); }
  void end_asked(EndAsked asked) { publish({.what = asked}); }
  void reboot_delayed(RebootDelayed delayed) { publish({.what = delayed}); }
  void card(CardMoved moved) { publish({.what = std::move(moved)}); }
  void sandbox(SandboxNews news) { publish({.what = std::move(news)}); }

 private:
  struct Entry {
    std::uint64_t number;
    GuestObserver observer;
  };
  /// Adds time and name.
  void publish(GuestEvent event) GPUVM_EXCLUDES(mutex_);

  const std::string guest_;
  Mutex mutex_;  ///< held while observers are called: that is what keeps the order
  std::vector<Entry> observers_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t last_number_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm
