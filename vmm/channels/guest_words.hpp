// SPDX-License-Identifier: Apache-2.0
// GuestWords: the channels by which a guest tells what came of it, besides the exit port and
// pvpanic: those of [test] that are on. Each word becomes an event (GuestWord); which one counts is
// for who reads them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/channels/line_reader.hpp"
#include "vmm/channels/result_file.hpp"
#include "vmm/channels/vsock_socket.hpp"
#include "vmm/channels/word_listener.hpp"
#include "vmm/channels/word_teller.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {

/// The status port's name, by which a guest finds it: /dev/virtio-ports/org.gpuvm.status.
inline constexpr std::string_view kStatusPortName = "org.gpuvm.status";

class GuestWords : public Inspectable {
 public:
  /// Opens what the configuration asks for; nobody is heard yet. `events` outlives this. Errors:
  /// kConfig, kHost.
  static Result<std::unique_ptr<GuestWords>> open(const Config& config, GuestEvents& events);

  /// Adds what tells the guest of its channels: credentials, and words of the kernel's command line
  /// where there is a kernel.
  void announce(Config& config) const;
  /// The machine is built and its guest does not run yet: its sockets are heard from now on, for
  /// the guest with this CID. Errors: kHost.
  Status listen(std::optional<std::uint32_t> cid) GPUVM_EXCLUDES(mutex_);

  // The status port's host end, on the thread of its queues.
  void port_received(std::span<const std::byte> bytes) { port_lines_.add(bytes); }
  void port_cut() { port_lines_.cut(); }
  void port_closed() { port_lines_.end(); }
  void port_begun() { port_lines_.clear(); }

  /// The guest is at rest for good: hears what it has said by now, and reads its result file. Once.
  void finish() GPUVM_EXCLUDES(mutex_);

  void inspect(InspectNode& node) const override;

 private:
  GuestWords(const TestConfig& config, GuestEvents& events);
  Status open_sockets();
  Status open_result_file(const Config& config);

  const TestConfig config_;
  WordTeller port_words_;
  WordTeller vsock_words_;
  WordTeller notify_words_;
  WordTeller file_words_;
  LineReader port_lines_{[this](std::string_view line) { port_words_.tell_line(line); }};
  VsockSocket vsock_;   ///< until the listener has it; the port stays
  VsockSocket notify_;  ///< the same
  std::unique_ptr<ResultFile> file_;
  mutable Mutex mutex_;
  /// First to go: uses the tellers.
  std::unique_ptr<WordListener> listener_ GPUVM_GUARDED_BY(mutex_);
};

/// What the channels are, for people, before a start.
void describe_words(const Config& config, InspectNode& node);

/// Whether a start could have the result file. Errors: those of ResultFile::open().
Status check_words(const Config& config);

}  // namespace gpuvm
